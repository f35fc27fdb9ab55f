import { ShapeError, floatAttribute } from '@modelmill/onnx';
import type { Attribute, DataType } from '@modelmill/onnx';
import { constant, ints, operation, runtimeDomain, scalar, size } from './value.js';
import type { Shape, Value } from './value.js';

type Attributes = Readonly<Record<string, Attribute>>;

/** One node of one output; optional inputs may be left out. */
export function make(
  opType: string,
  inputs: readonly (Value | undefined)[],
  shape: Shape,
  dataType: DataType = inputs[0]?.dataType ?? 'float',
  attributes: Attributes = {},
): Value {
  return operation({ opType, inputs, attributes: new Map(Object.entries(attributes)) }, [{ dataType, shape }])[0]!;
}

export const int = (value: number): Attribute => ({ kind: 'int', value });
export const intList = (value: readonly number[]): Attribute => ({ kind: 'ints', value });

const unary = (opType: string) => (x: Value) => make(opType, [x], x.shape);
const binary = (opType: string) => (a: Value, b: Value) => make(opType, [a, b], broadcastShape(a.shape, b.shape));
const compare = (opType: string) => (a: Value, b: Value) =>
  make(opType, [a, b], broadcastShape(a.shape, b.shape), 'bool');

export const add = binary('Add');
export const sub = binary('Sub');
export const mul = binary('Mul');
export const div = binary('Div');
export const pow = binary('Pow');
export const neg = unary('Neg');
export const exp = unary('Exp');
export const log = unary('Log');
export const sqrt = unary('Sqrt');
export const sin = unary('Sin');
export const cos = unary('Cos');
export const erf = unary('Erf');
export const sign = unary('Sign');
export const abs = unary('Abs');
export const sigmoid = unary('Sigmoid');
export const tanh = unary('Tanh');
export const relu = unary('Relu');
export const softplus = unary('Softplus');
export const reciprocal = unary('Reciprocal');
export const identity = unary('Identity');
export const greater = compare('Greater');
export const greaterOrEqual = compare('GreaterOrEqual');
export const lessOrEqual = compare('LessOrEqual');
export const equal = compare('Equal');
export const and = compare('And');

export const times = (x: Value, factor: number): Value => (factor === 1 ? x : mul(x, scalar(factor)));
export const minimum = (...xs: readonly Value[]): Value =>
  make('Min', xs, xs.map((x) => x.shape).reduce(broadcastShape));

export const maximum = (...xs: readonly Value[]): Value =>
  make('Max', xs, xs.map((x) => x.shape).reduce(broadcastShape));

export const where = (condition: Value, x: Value, y: Value): Value =>
  make('Where', [condition, x, y], broadcastShape(condition.shape, broadcastShape(x.shape, y.shape)), x.dataType);

export const cast = (x: Value, to: DataType, number: number): Value =>
  make('Cast', [x], x.shape, to, { to: int(number) });

/**
 * 1 where x > 0, else 0, in one pass over x that uses all threads, which a comparison and a cast or a Where do not:
 * min(max(3.4e38 x, 0), 1) is exact for every number that is not subnormal.
 */
export const positive = (x: Value): Value =>
  make('HardSigmoid', [x], x.shape, x.dataType, { alpha: floatAttribute(3.4e38), beta: floatAttribute(0) });

/** A condition as 0 and 1. */
export const indicator = (condition: Value): Value => cast(condition, 'float', 1);

// contraction

/** Operands of at least one axis, as numpy's matmul takes them. */
export function matMul(a: Value, b: Value): Value {
  const left = a.shape.length === 1 ? [1, ...a.shape] : a.shape;
  const right = b.shape.length === 1 ? [...b.shape, 1] : b.shape;
  const [rows, inner] = left.slice(-2);
  const [innerOfB, columns] = right.slice(-2);
  if (rows === undefined || columns === undefined || inner !== innerOfB) {
    throw new ShapeError(`MatMul takes [.., m, k] and [.., k, n], got [${a.shape}] and [${b.shape}]`);
  }
  const batch = broadcastShape(left.slice(0, -2), right.slice(0, -2));
  return make(
    'MatMul',
    [a, b],
    [...batch, ...(a.shape.length === 1 ? [] : [rows]), ...(b.shape.length === 1 ? [] : [columns])],
  );
}

/** A batch of products of matrices as they lie, or turned around: ONNX Runtime's own operator, on CPU and CUDA. */
export function turnedMatMul(a: Value, b: Value, transA: boolean, transB: boolean): Value {
  const turned = ({ shape }: Value) => [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!];
  const plain = matMul(transA ? { ...a, shape: turned(a) } : a, transB ? { ...b, shape: turned(b) } : b);
  const attributes = new Map([
    ['transA', int(Number(transA))],
    ['transB', int(Number(transB))],
  ]);
  return operation({ opType: 'FusedMatMul', domain: runtimeDomain, inputs: [a, b], attributes }, [plain])[0]!;
}

/** α · op(a) · op(b) + c of matrices. */
export function gemm(a: Value, b: Value, transA: boolean, transB: boolean, alpha = 1, c?: Value): Value {
  const [rows, inner] = transA ? [...a.shape].reverse() : a.shape;
  const [innerOfB, columns] = transB ? [...b.shape].reverse() : b.shape;
  if (rows === undefined || columns === undefined || inner !== innerOfB) {
    throw new ShapeError(`Gemm cannot multiply [${a.shape}] and [${b.shape}] (transposed: ${transA}, ${transB})`);
  }
  return make('Gemm', c ? [a, b, c] : [a, b], [rows, columns], a.dataType, {
    ...(alpha === 1 ? {} : { alpha: floatAttribute(alpha) }),
    ...(transA ? { transA: int(1) } : {}),
    ...(transB ? { transB: int(1) } : {}),
  });
}

// movement

export const reshape = (x: Value, shape: Shape): Value => {
  if (size(shape) !== size(x.shape)) throw new ShapeError(`Reshape: [${x.shape}] does not hold as many as [${shape}]`);
  return sameShape(x.shape, shape) ? x : make('Reshape', [x, ints(shape)], shape);
};

export function transpose(x: Value, perm: readonly number[]): Value {
  const shape = perm.flatMap((axis) => x.shape[axis] ?? []);
  if (shape.length !== x.shape.length || new Set(perm).size !== perm.length) {
    throw new ShapeError(`Transpose: [${perm}] does not permute the axes of [${x.shape}]`);
  }
  return perm.every((from, to) => from === to) ? x : make('Transpose', [x], shape, x.dataType, { perm: intList(perm) });
}

export function transposeLast(x: Value): Value {
  const rank = x.shape.length;
  return transpose(x, [...Array(rank - 2).keys(), rank - 1, rank - 2]);
}

export const expand = (x: Value, shape: Shape): Value => {
  const to = broadcastShape(x.shape, shape);
  return sameShape(x.shape, to) ? x : make('Expand', [x, ints(to)], to);
};

export function concat(xs: readonly Value[], axis: number): Value {
  const [first] = xs;
  if (first === undefined) throw new ShapeError('Concat takes at least one operand');
  if (xs.length === 1) return first;
  const shape = first.shape.map((d, i) => (i === axis ? xs.reduce((sum, x) => sum + x.shape[axis]!, 0) : d));
  return make('Concat', xs, shape, first.dataType, { axis: int(axis) });
}

/** What lies at the positions along an axis. */
export const gather = (x: Value, indices: Value, axis: number): Value =>
  make('Gather', [x, indices], [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)], x.dataType, {
    axis: int(axis),
  });

/** Slices of the given lengths along an axis. */
export function split(x: Value, lengths: readonly number[], axis: number): readonly Value[] {
  return operation(
    { opType: 'Split', inputs: [x, ints(lengths)], attributes: new Map([['axis', int(axis)]]) },
    lengths.map((length) => ({ dataType: x.dataType, shape: x.shape.map((d, i) => (i === axis ? length : d)) })),
  );
}

/** As split; the value itself where it is one slice. */
export const parted = (x: Value, lengths: readonly number[], axis: number): readonly Value[] =>
  lengths.length === 1 ? [x] : split(x, lengths, axis);

/** One range of an axis. A negative step runs backwards, from `start` down to and without `end`. */
export interface Range {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/** The ranges' starts and ends are within the axes, an `end` of -1 stands before the first element. */
export function slice(x: Value, ranges: readonly Range[]): Value {
  const changing = ranges.filter(({ axis, start, end, step }) => start !== 0 || end !== x.shape[axis] || step !== 1);
  if (changing.length === 0) return x;
  const shape = [...x.shape];
  for (const { axis, start, end, step } of changing) shape[axis] = Math.max(0, Math.ceil((end - start) / step));
  const list = (of: (range: Range) => number) => ints(changing.map(of));
  return make(
    'Slice',
    [
      x,
      list(({ start }) => start),
      // -1 means the last element, so "before the first" needs a number below every axis
      list(({ end }) => (end < 0 ? -(2 ** 62) : end)),
      list(({ axis }) => axis),
      list(({ step }) => step),
    ],
    shape,
  );
}

/** Turns axes around. */
export const flip = (x: Value, axes: readonly number[]): Value =>
  slice(
    x,
    axes.filter((axis) => x.shape[axis] !== 1).map((axis) => ({ axis, start: x.shape[axis]! - 1, end: -1, step: -1 })),
  );

/** Zeros, or `by`, before and after each axis; negative counts crop. */
export function pad(x: Value, before: readonly number[], after: readonly number[], by?: Value): Value {
  if ([...before, ...after].every((count) => count === 0)) return x;
  const shape = x.shape.map((d, axis) => d + before[axis]! + after[axis]!);
  return make('Pad', [x, ints([...before, ...after]), by], shape);
}

// reduction

/** A reduction by name. */
export const reduceBy = (opType: string) => (x: Value, axes: readonly number[], keep: boolean) => {
  if (axes.length === 0) return x; // ONNX would take an empty list for all axes
  const shape = x.shape.flatMap((d, axis) => (!axes.includes(axis) ? [d] : keep ? [1] : []));
  return make(opType, [x, ints(axes)], shape, x.dataType, keep ? {} : { keepdims: int(0) });
};

export const reduceSum = reduceBy('ReduceSum');
export const reduceMean = reduceBy('ReduceMean');
const reduceSumSquare = reduceBy('ReduceSumSquare');
export const axesOf = (x: Value): number[] => [...x.shape.keys()];
/** Scalars. */
export const sum = (x: Value): Value => reduceSum(x, axesOf(x), false);
export const mean = (x: Value): Value => reduceMean(x, axesOf(x), false);
export const sumSquare = (x: Value): Value => (x.shape.length === 0 ? mul(x, x) : reduceSumSquare(x, axesOf(x), false));

export const logSoftmax = (x: Value, axis: number): Value =>
  make('LogSoftmax', [x], x.shape, x.dataType, { axis: int(axis) });
export const softmax = (x: Value, axis: number): Value =>
  make('Softmax', [x], x.shape, x.dataType, { axis: int(axis) });

export const zeros = (shape: Shape): Value => expand(scalar(0), shape);

/** 1 where an index along a new last axis equals the target, else 0. */
export function oneHot(targets: Value, classes: number): Value {
  const indices = constant([...Array(classes).keys()], [classes], targets.dataType);
  return indicator(equal(reshape(targets, [...targets.shape, 1]), indices));
}

/** https://onnx.ai/onnx/repo-docs/Broadcasting.html, multidirectional. */
export function broadcastShape(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const m = a[a.length - rank + axis] ?? 1;
    const n = b[b.length - rank + axis] ?? 1;
    if (m !== n && m !== 1 && n !== 1) throw new ShapeError(`cannot broadcast [${a}] with [${b}]`);
    return m === 1 ? n : m;
  });
}

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i]);
