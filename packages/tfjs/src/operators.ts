import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Reading, TfjsOperator } from './reading.js';
import { windowOperators } from './windows.js';

const unary =
  (of: (x: Tensor) => Tensor): TfjsOperator =>
  ({ x: [x] }) =>
    of(x!);
const binary =
  (of: (a: Tensor, b: Tensor) => Tensor): TfjsOperator =>
  ({ x: [a, b] }) =>
    of(a!, b!);
const every =
  (of: (a: Tensor, b: Tensor) => Tensor): TfjsOperator =>
  ({ x }) =>
    (x as Tensor[]).reduce(of);

const axisOf = (axis: number, rank: number) => (axis < 0 ? axis + rank : axis);

/** Axes by attribute, or by the second input as newer operator sets have them; none: all. */
const reduction =
  (of: (x: Tensor, axes: number[] | undefined, keep: boolean) => Tensor): TfjsOperator =>
  ({ x: [x], list, int }) => {
    const axes = list('axes', 1)?.map((axis) => axisOf(axis, x!.rank));
    return of(x!, axes?.length ? axes : undefined, int('keepdims', 1) === 1);
  };

const gemm: TfjsOperator = ({ x: [a, b, c], int, float }) => {
  const product = tf.matMul(a!, b!, int('transA', 0) === 1, int('transB', 0) === 1);
  const scaled = times(product, float('alpha', 1));
  return c ? tf.add(scaled, times(c, float('beta', 1))) : scaled;
};

const times = (x: Tensor, by: number) => (by === 1 ? x : tf.mul(x, by));

/** TensorFlow.js has no gradient of a product whose operands differ in the axes before the last two. */
function matMul(a: Tensor, b: Tensor): Tensor {
  if (a.rank === 1) return tf.squeeze(matMul(tf.expandDims(a, 0), b), [-2]);
  if (b.rank === 1) return tf.squeeze(matMul(a, tf.expandDims(b, 1)), [-1]);
  const [rows, inner] = a.shape.slice(-2) as [number, number];
  if (b.rank === 2) {
    const product = tf.matMul(tf.reshape(a, [-1, inner]), b);
    return tf.reshape(product, [...a.shape.slice(0, -1), b.shape[1]!]);
  }
  const columns = b.shape.at(-1)!;
  const batch = tf.backend_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  return tf.matMul(tf.broadcastTo(a, [...batch, rows, inner]), tf.broadcastTo(b, [...batch, inner, columns]));
}

/** TensorFlow.js has no gradient of strided slices: what is not in a row is looked up. */
function slice({ x: [x], list }: Reading): Tensor {
  const starts = list('starts', 1)!;
  const axes = list('axes', 3) ?? [...starts.keys()];
  return axes.reduce<Tensor>((y, stated, i) => {
    const axis = axisOf(stated, x!.rank);
    const length = y.shape[axis]!;
    const step = list('steps', 4)?.[i] ?? 1;
    const [start, end] = [starts[i]!, list('ends', 2)![i]!].map((at) => (at < 0 ? at + length : at)) as [
      number,
      number,
    ];
    const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
    const from = Math.min(Math.max(start, 0), high);
    const to = Math.min(Math.max(end, low), high);
    const count = Math.max(0, Math.ceil((to - from) / step));
    if (step !== 1) return tf.gather(y, tf.tensor1d(places(from, step, count), 'int32'), axis);
    const begin = y.shape.map((_, at) => (at === axis ? from : 0));
    return tf.slice(
      y,
      begin,
      y.shape.map((size, at) => (at === axis ? count : size)),
    );
  }, x!);
}

const places = (from: number, step: number, count: number) => Array.from({ length: count }, (_, i) => from + i * step);

function pad({ x: [x, , by], list }: Reading): Tensor {
  const counts = list('pads', 1)!;
  const rank = x!.rank;
  const value = by ? by.dataSync()[0]! : 0;
  const cropped = counts.some((count) => count < 0)
    ? tf.slice(
        x!,
        x!.shape.map((_, axis) => Math.max(0, -counts[axis]!)),
        x!.shape.map((size, axis) => size + Math.min(0, counts[axis]!) + Math.min(0, counts[rank + axis]!)),
      )
    : x!;
  const around = cropped.shape.map((_, axis): [number, number] => [
    Math.max(0, counts[axis]!),
    Math.max(0, counts[rank + axis]!),
  ]);
  return tf.pad(cropped, around, value);
}

/** One element per place of the indices, looked up in the flattened tensor. */
function gatherElements({ x: [x, indices], int }: Reading): Tensor {
  const { shape, rank } = x!;
  const axis = axisOf(int('axis', 0), rank);
  const length = shape[axis]!;
  const wrapped = tf.where(tf.less(indices!, 0), tf.add(indices!, length), indices!);
  let flat: Tensor = tf.zerosLike(wrapped);
  for (let at = 0; at < rank; at++) {
    const size = indices!.shape[at]!;
    const along = tf.reshape(
      tf.range(0, size, 1, 'int32'),
      shape.map((_, i) => (i === at ? size : 1)),
    );
    const stride = shape.slice(at + 1).reduce((product, n) => product * n, 1);
    flat = tf.add(flat, tf.mul(at === axis ? wrapped : along, tf.scalar(stride, 'int32')));
  }
  return tf.gather(tf.reshape(x!, [-1]), tf.cast(flat, 'int32'));
}

/** Means and variances of one example's last axes, as LayerNormalization takes them. */
function layerNormalization({ x: [x, scale, bias], int, float }: Reading): Tensor {
  const from = axisOf(int('axis', -1), x!.rank);
  const axes = Array.from({ length: x!.rank - from }, (_, i) => from + i);
  const off = tf.sub(x!, tf.mean(x!, axes, true));
  const variance = tf.mean(tf.mul(off, off), axes, true);
  const normal = tf.mul(tf.div(off, tf.sqrt(tf.add(variance, float('epsilon', 1e-5)))), scale!);
  return bias ? tf.add(normal, bias) : normal;
}

const floats = new Set([1, 10, 11]);
const bool = 9;

const sizeOf = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);

/** What stands for an operator of ONNX in TensorFlow.js; https://onnx.ai/onnx/operators says what each is. */
export const operators: Readonly<Record<string, TfjsOperator>> = {
  ...windowOperators,
  Add: binary(tf.add),
  Sub: binary(tf.sub),
  Mul: binary(tf.mul),
  Div: binary((a, b) => (a.dtype === 'int32' ? tf.floorDiv(a, b) : tf.div(a, b))),
  Pow: binary(tf.pow),
  Max: every(tf.maximum),
  Min: every(tf.minimum),
  Sum: every(tf.add),
  Neg: unary(tf.neg),
  Abs: unary(tf.abs),
  Exp: unary(tf.exp),
  Log: unary(tf.log),
  Sqrt: unary(tf.sqrt),
  Sin: unary(tf.sin),
  Cos: unary(tf.cos),
  Erf: unary(tf.erf),
  Sign: unary(tf.sign),
  Reciprocal: unary(tf.reciprocal),
  Identity: unary(tf.clone),
  Relu: unary(tf.relu),
  Sigmoid: unary(tf.sigmoid),
  Tanh: unary(tf.tanh),
  Softplus: unary(tf.softplus),
  Softsign: unary((x) => tf.div(x, tf.add(tf.abs(x), 1))),
  Selu: unary(tf.selu),
  Elu: ({ x: [x], float }) =>
    tf.where(tf.greater(x!, 0), x!, tf.mul(tf.sub(tf.exp(tf.minimum(x!, 0)), 1), float('alpha', 1))),
  LeakyRelu: ({ x: [x], float }) => tf.leakyRelu(x!, float('alpha', 0.01)),
  HardSigmoid: ({ x: [x], float }) => tf.clipByValue(tf.add(tf.mul(x!, float('alpha', 0.2)), float('beta', 0.5)), 0, 1),
  Equal: binary(tf.equal),
  Greater: binary(tf.greater),
  GreaterOrEqual: binary(tf.greaterEqual),
  Less: binary(tf.less),
  LessOrEqual: binary(tf.lessEqual),
  And: binary(tf.logicalAnd),
  Or: binary(tf.logicalOr),
  Not: unary(tf.logicalNot),
  Where: ({ x: [condition, a, b] }) => tf.where(condition!, a!, b!),
  Clip: ({ x: [x, low, high] }) => {
    const above = low ? tf.maximum(x!, low) : x!;
    return high ? tf.minimum(above, high) : above;
  },
  Cast({ x: [x], int }) {
    const to = int('to', 1);
    return tf.cast(x!, to === bool ? 'bool' : floats.has(to) ? 'float32' : 'int32');
  },
  MatMul: binary(matMul),
  Gemm: gemm,
  Softmax: ({ x: [x], int }) => {
    const axis = axisOf(int('axis', -1), x!.rank);
    const raised = tf.exp(tf.sub(x!, tf.max(x!, axis, true)));
    return tf.div(raised, tf.sum(raised, axis, true));
  },
  LogSoftmax: ({ x: [x], int }) => {
    const axis = axisOf(int('axis', -1), x!.rank);
    return tf.sub(x!, tf.logSumExp(x!, axis, true));
  },
  LayerNormalization: layerNormalization,
  ReduceSum: reduction(tf.sum),
  ReduceMean: reduction(tf.mean),
  ReduceMax: reduction(tf.max),
  ReduceMin: reduction(tf.min),
  ReduceSumSquare: reduction((x, axes, keep) => tf.sum(tf.mul(x, x), axes, keep)),
  Reshape({ x: [x], list }) {
    const wanted = list('shape', 1)!;
    const shape = wanted.map((size, axis) => (size === 0 ? x!.shape[axis]! : size));
    return tf.reshape(x!, shape);
  },
  Flatten: ({ x: [x], int }) => tf.reshape(x!, [sizeOf(x!.shape.slice(0, axisOf(int('axis', 1), x!.rank))), -1]),
  Squeeze: ({ x: [x], list }) =>
    tf.squeeze(
      x!,
      list('axes', 1)?.map((axis) => axisOf(axis, x!.rank)),
    ),
  Unsqueeze: ({ x: [x], list }) => {
    const axes = list('axes', 1)!;
    const rank = x!.rank + axes.length;
    return axes
      .map((axis) => axisOf(axis, rank))
      .sort((a, b) => a - b)
      .reduce<Tensor>((y, axis) => tf.expandDims(y, axis), x!);
  },
  Transpose: ({ x: [x], list }) => tf.transpose(x!, list('perm') ? [...list('perm')!] : undefined),
  Expand: ({ x: [x], list }) => {
    const wanted = list('shape', 1)!;
    const rank = Math.max(wanted.length, x!.rank);
    const from = [...Array<number>(rank - x!.rank).fill(1), ...x!.shape];
    const to = [...Array<number>(rank - wanted.length).fill(1), ...wanted];
    return tf.broadcastTo(
      tf.reshape(x!, from),
      from.map((size, axis) => Math.max(size, to[axis]!)),
    );
  },
  Tile: ({ x: [x], list }) => tf.tile(x!, [...list('repeats', 1)!]),
  Concat: ({ x, int }) => tf.concat(x as Tensor[], axisOf(int('axis', 0), x[0]!.rank)),
  Split({ node, x: [x], list, int }) {
    const axis = axisOf(int('axis', 0), x!.rank);
    if (node.outputs.length === 1) return tf.clone(x!);
    return tf.split(x!, list('split', 1) ? [...list('split', 1)!] : node.outputs.length, axis);
  },
  Slice: slice,
  Pad: pad,
  Gather: ({ x: [x, indices], int }) => tf.gather(x!, indices!, axisOf(int('axis', 0), x!.rank)),
  GatherElements: gatherElements,
  CumSum: ({ x: [x], list, int }) => {
    const axis = axisOf(list('axis', 1)![0]!, x!.rank);
    return tf.cumsum(x!, axis, int('exclusive', 0) === 1, int('reverse', 0) === 1);
  },
};
