import { einsum } from './einsum-gradients.js';
import type { GradientRule } from './gradient-rule.js';
import * as op from './ops.js';
import { size } from './value.js';
import type { Shape, Value } from './value.js';

export const contractions: Readonly<Record<string, GradientRule>> = {
  Einsum: einsum,
  MatMul: ({ x: [a, b], g }) => [() => matMulLeft(g, a!, b!), () => matMulRight(g, a!, b!)],
  Gemm: ({ x: [a, b], g, int, float }) => {
    const transA = int('transA', 0) !== 0;
    const transB = int('transB', 0) !== 0;
    const alpha = float('alpha', 1);
    return [
      () => (transA ? op.gemm(b!, g, transB, true, alpha) : op.gemm(g, b!, false, !transB, alpha)),
      () => (transB ? op.gemm(g, a!, true, transA, alpha) : op.gemm(a!, g, !transA, false, alpha)),
      () => op.times(g, float('beta', 1)),
    ];
  },
};

function matMulLeft(g: Value, a: Value, b: Value): Value {
  const rows = a.shape.length === 1 ? [1, ...a.shape] : a.shape;
  const columns = b.shape.length === 1 ? [...b.shape, 1] : b.shape;
  const full = op.reshape(g, [...batchOf(g, a, b), rows.at(-2)!, columns.at(-1)!]);
  const product = op.matMul(full, op.transposeLast(op.reshape(b, columns)));
  return a.shape.length === 1 ? summedRow(product) : product;
}

function matMulRight(g: Value, a: Value, b: Value): Value {
  const rows = a.shape.length === 1 ? [1, ...a.shape] : a.shape;
  const columns = b.shape.length === 1 ? [...b.shape, 1] : b.shape;
  const full = op.reshape(g, [...batchOf(g, a, b), rows.at(-2)!, columns.at(-1)!]);
  if (columns.length === 2) {
    // one product over all rows instead of one per batch and their sum
    const flat = (v: Value, width: number) => op.reshape(v, [size(v.shape) / width, width]);
    const product = op.gemm(flat(op.reshape(a, rows), rows.at(-1)!), flat(full, columns[1]!), true, false);
    return op.reshape(product, b.shape);
  }
  return op.matMul(op.transposeLast(op.reshape(a, rows)), full);
}

function batchOf(g: Value, a: Value, b: Value): Shape {
  const matrixAxes = Number(a.shape.length > 1) + Number(b.shape.length > 1);
  return g.shape.slice(0, g.shape.length - matrixAxes);
}

/** [.., 1, n] as [.., n]. */
const summedRow = (v: Value): Value => op.reshape(v, [...v.shape.slice(0, -2), v.shape.at(-1)!]);
