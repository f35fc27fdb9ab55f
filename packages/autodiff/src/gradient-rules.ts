import { constantsOf } from './constants-of.js';
import { convolutionInput, convolutionWeight } from './convolution-gradients.js';
import { einsumGradient } from './einsum-gradient.js';
import { elementwiseGradients } from './elementwise-gradients.js';
import { UnsupportedOpError } from './errors.js';
import { arrangementGradients, indexingGradients } from './indexing-gradients.js';
import * as op from './ops.js';
import { averagePoolInput, maxPoolInput } from './pooling-gradients.js';
import { resizeGradient } from './resize-gradient.js';
import { constant, scalar, size } from './value.js';
import type { GradientQuestion, GradientRule } from './gradient-rule.js';
import type { Operation, Shape, Value } from './value.js';
import { windowsOf } from './windows.js';

const { add, sub, mul, div, where } = op;
const one = scalar(1);
const zero = scalar(0);

/** dL/dx of an element-wise function of one input. */
const unary =
  (gradient: (question: GradientQuestion & { readonly input: Value }) => Value): GradientRule =>
  (question) => [() => gradient({ ...question, input: question.x[0]! })];

/** Same elements in another arrangement. */
const rearranged: GradientRule = ({ x: [x], g }) => [() => op.reshape(g, x!.shape)];

/** g goes to the elements that equal the extreme, in equal parts. */
const extreme: GradientRule = ({ x, y, g }) => {
  const masks = x.map((operand) => op.indicator(op.equal(operand, y)));
  const ties = masks.reduce(add);
  return masks.map((mask) => () => div(mul(g, mask), ties));
};

/** One row per operator; recipes in docs/training.md. `U`, the sum over broadcast axes, is the walk's. */
export const gradientRules: Readonly<Record<string, GradientRule>> = {
  // arithmetic
  Add: ({ g }) => [() => g, () => g],
  Sub: ({ g }) => [() => g, () => op.neg(g)],
  Mul: ({ x: [a, b], g }) => [() => mul(g, b!), () => mul(g, a!)],
  Div: ({ x: [, b], y, g }) => [() => div(g, b!), () => op.neg(div(mul(g, y), b!))],
  Pow: ({ x: [base, exponent], y, g }) => [
    () => mul(g, mul(exponent!, op.pow(base!, sub(exponent!, one)))),
    () => mul(g, mul(y, op.log(base!))),
  ],
  Neg: unary(({ g }) => op.neg(g)),
  Identity: unary(({ g }) => g),
  Abs: unary(({ g, input }) => mul(g, op.sign(input))),
  Sqrt: unary(({ g, y }) => div(g, op.times(y, 2))),
  Reciprocal: unary(({ g, y }) => op.neg(mul(g, mul(y, y)))),
  Exp: unary(({ g, y }) => mul(g, y)),
  Log: unary(({ g, input }) => div(g, input)),
  Sin: unary(({ g, input }) => mul(g, op.cos(input))),
  Cos: unary(({ g, input }) => op.neg(mul(g, op.sin(input)))),
  Erf: unary(({ g, input }) => mul(g, op.times(op.exp(op.neg(mul(input, input))), 2 / Math.sqrt(Math.PI)))),
  Min: extreme,
  Max: extreme,
  Where: ({ x: [condition], g }) => [undefined, () => where(condition!, g, zero), () => where(condition!, zero, g)],
  Clip: ({ operation, x: [x], g }) => [
    () => {
      const [, low, high] = operation.inputs;
      const above = low && op.greaterOrEqual(x!, low);
      const below = high && op.lessOrEqual(x!, high);
      const within = above && below ? op.and(above, below) : (above ?? below);
      return within ? where(within, g, zero) : g;
    },
  ],
  Cast: unary(({ g, input }) => op.cast(g, input.dataType, input.dataType === 'double' ? 11 : 1)),

  // activations
  Relu: unary(({ g, y }) => mul(g, op.positive(y))),
  LeakyRelu: unary(({ g, input, float }) => where(op.greater(input, zero), g, op.times(g, float('alpha', 0.01)))),
  PRelu: ({ x: [x, slope], g }) => [
    () => where(op.greater(x!, zero), g, mul(g, slope!)),
    () => where(op.greater(x!, zero), zero, mul(g, x!)),
  ],
  Elu: unary(({ g, input, y, float }) => where(op.greater(input, zero), g, mul(g, add(y, scalar(float('alpha', 1)))))),
  Selu: unary(({ g, input, y, float }) => {
    const alpha = float('alpha', 1.6732632423543772);
    const gamma = float('gamma', 1.0507009873554805);
    return where(op.greater(input, zero), op.times(g, gamma), mul(g, add(y, scalar(alpha * gamma))));
  }),
  Sigmoid: unary(({ g, y }) => mul(g, mul(y, sub(one, y)))),
  HardSigmoid: unary(({ g, y, float }) =>
    where(op.and(op.greater(y, zero), op.greater(one, y)), op.times(g, float('alpha', 0.2)), zero),
  ),
  HardSwish: unary(({ g, input }) => {
    const inner = mul(g, op.times(add(op.times(input, 2), scalar(3)), 1 / 6));
    return where(op.greater(input, scalar(3)), g, where(op.greater(input, scalar(-3)), inner, zero));
  }),
  Tanh: unary(({ g, y }) => mul(g, sub(one, mul(y, y)))),
  Softplus: unary(({ g, input }) => mul(g, op.sigmoid(input))),
  Softsign: unary(({ g, input }) => {
    const reach = add(one, op.make('Abs', [input], input.shape));
    return div(g, mul(reach, reach));
  }),
  Mish: unary(({ g, input }) => {
    const t = op.tanh(op.softplus(input));
    return mul(g, add(t, mul(mul(input, sub(one, mul(t, t))), op.sigmoid(input))));
  }),
  Softmax: unary(({ g, y, int }) => {
    const axis = axisOf(int('axis', -1), y);
    return mul(y, sub(g, op.reduceSum(mul(g, y), [axis], true)));
  }),
  LogSoftmax: unary(({ g, y, int }) => {
    const axis = axisOf(int('axis', -1), y);
    return sub(g, mul(op.exp(y), op.reduceSum(g, [axis], true)));
  }),

  // contraction
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
  Conv: ({ operation, x: [x, weight], g }) => {
    const windows = windowsOf(operation, x!.shape, weight!.shape.slice(2));
    return [
      () => convolutionInput(g, weight!, x!.shape, windows),
      () => convolutionWeight(g, x!, weight!.shape, windows),
      () => op.reduceSum(g, allButChannels(g.shape), false),
    ];
  },

  ConvTranspose: ({ operation, x: [x, weight], y, g }) => {
    if (operation.attributes.has('output_shape')) {
      throw new UnsupportedOpError('ConvTranspose', operation.node, 'has no gradient for a stated output_shape');
    }
    // it is the gradient of a convolution of y, so its own is that convolution
    const windows = windowsOf(operation, y.shape, weight!.shape.slice(2));
    const { kernel, strides, dilations, before, after, groups } = windows;
    return [
      () =>
        op.make('Conv', [g, weight], x!.shape, g.dataType, {
          kernel_shape: op.intList(kernel),
          strides: op.intList(strides),
          dilations: op.intList(dilations),
          pads: op.intList([...before, ...after]),
          group: op.int(groups),
        }),
      () => convolutionWeight(x!, g, weight!.shape, windows),
      () => op.reduceSum(g, allButChannels(g.shape), false),
    ];
  },

  // pooling
  MaxPool: ({ operation, x: [x], g }) => [
    () => maxPoolInput(g, operation.outputs[1]!, x!.shape, windowsOf(operation, x!.shape)),
  ],
  AveragePool: ({ operation, x: [x], g, int }) => [
    () => averagePoolInput(g, x!.shape, windowsOf(operation, x!.shape), int('count_include_pad', 0) !== 0),
  ],
  GlobalAveragePool: ({ x: [x], g }) => [() => op.expand(op.times(g, 1 / size(x!.shape.slice(2))), x!.shape)],
  GlobalMaxPool: ({ x: [x], y, g }) => [() => where(op.equal(x!, y), g, zero)],

  // normalization
  LayerNormalization: ({ operation, x: [x, scale], g, int }) => {
    const [, mean, inverse] = operation.outputs;
    const axis = axisOf(int('axis', -1), x!);
    const axes = op.axesOf(x!).filter((i) => i >= axis);
    const normalized = mul(sub(x!, mean!), inverse!);
    const scaled = mul(g, scale!);
    const centred = sub(scaled, op.reduceMean(scaled, axes, true));
    return [
      () => mul(inverse!, sub(centred, mul(normalized, op.reduceMean(mul(scaled, normalized), axes, true)))),
      () => mul(g, normalized),
      () => g,
    ];
  },

  // reduction
  ReduceSum: unary(({ g, input, y, operation }) => op.expand(kept(g, input, y, operation), input.shape)),
  ReduceMean: unary(({ g, input, y, operation }) =>
    op.expand(op.times(kept(g, input, y, operation), size(y.shape) / size(input.shape)), input.shape),
  ),
  ReduceSumSquare: unary(({ g, input, y, operation }) => mul(op.times(input, 2), kept(g, input, y, operation))),
  ReduceL1: unary(({ g, input, y, operation }) => mul(op.sign(input), kept(g, input, y, operation))),
  ReduceLogSum: unary(({ g, input, y, operation }) =>
    op.expand(div(kept(g, input, y, operation), op.exp(kept(y, input, y, operation))), input.shape),
  ),
  ReduceL2: unary(({ g, input, y, operation }) =>
    mul(input, div(kept(g, input, y, operation), kept(y, input, y, operation))),
  ),
  ReduceLogSumExp: unary(({ g, input, y, operation }) =>
    mul(kept(g, input, y, operation), op.exp(sub(input, kept(y, input, y, operation)))),
  ),
  ReduceMax: unary(reducedExtreme),
  ReduceMin: unary(reducedExtreme),

  // movement
  Reshape: rearranged,
  Flatten: rearranged,
  Squeeze: rearranged,
  Unsqueeze: rearranged,
  Expand: ({ g }) => [() => g],
  Transpose: ({ x: [x], g, list }) => {
    const perm = list('perm') ?? [...x!.shape.keys()].reverse();
    return [
      () =>
        op.transpose(
          g,
          [...perm.keys()].sort((a, b) => perm[a]! - perm[b]!),
        ),
    ];
  },
  Concat: ({ x, g, int }) => {
    const axis = axisOf(int('axis', 0), g);
    let start = 0;
    return x.map(({ shape }) => {
      const range = { axis, start, end: start + shape[axis]!, step: 1 };
      start = range.end;
      return () => op.slice(g, [range]);
    });
  },
  Split: ({ operation, x: [x], all, int }) => [
    () =>
      op.concat(
        operation.outputs.map(({ shape }, i) => all[i] ?? op.zeros(shape)),
        axisOf(int('axis', 0), x!),
      ),
  ],
  Slice: ({ operation, x: [x], y, g }) => [() => sliceInput(operation, x!, y, g)],
  Pad: ({ operation, x: [x], g, word }) => [
    () => {
      const mode = word('mode', 'constant');
      if (mode !== 'constant') {
        throw new UnsupportedOpError('Pad', operation.node, `has no gradient for mode '${mode}'`);
      }
      const rank = x!.shape.length;
      const stated = constantsOf(operation.inputs[1]);
      const axes = operation.inputs[3]
        ? constantsOf(operation.inputs[3]).map((axis) => axisOf(axis, x!))
        : op.axesOf(x!);
      const pads = Array<number>(2 * rank).fill(0);
      axes.forEach((axis, i) => {
        pads[axis] = stated[i]!;
        pads[rank + axis] = stated[axes.length + i]!;
      });
      return op.pad(
        g,
        pads.slice(0, rank).map((count) => -count),
        pads.slice(rank).map((count) => -count),
      );
    },
  ],
  ...arrangementGradients,
  ...indexingGradients,
  ...elementwiseGradients,
  Einsum: einsumGradient,
  Resize: resizeGradient,
  Trilu: ({ operation, g }) => [
    () => op.make('Trilu', [g, operation.inputs[1]], g.shape, g.dataType, Object.fromEntries(operation.attributes)),
  ],
};

const axisOf = (axis: number, { shape }: Value): number => (axis < 0 ? axis + shape.length : axis);
const allButChannels = (shape: Shape): number[] => [...shape.keys()].filter((axis) => axis !== 1);

function reducedExtreme({ g, input, y, operation }: GradientQuestion & { readonly input: Value }): Value {
  return where(op.equal(input, kept(y, input, y, operation)), kept(g, input, y, operation), zero);
}

/** A value of the reduced shape with the reduced axes put back as ones. */
function kept(value: Value, input: Value, y: Value, { inputs, attributes }: Operation): Value {
  if (y.shape.length === input.shape.length) return value;
  const keepdims = attributes.get('keepdims');
  if (keepdims?.kind !== 'int' || keepdims.value !== 0) return value;
  const axes = inputs[1] ? constantsOf(inputs[1]).map((axis) => axisOf(axis, input)) : op.axesOf(input);
  return op.reshape(
    value,
    input.shape.map((length, axis) => (axes.includes(axis) ? 1 : length)),
  );
}

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

/** Zeros where the slice did not reach; steps other than 1 scatter. */
function sliceInput({ inputs }: Operation, x: Value, y: Value, g: Value): Value {
  const starts = constantsOf(inputs[1]);
  const axes = inputs[3] ? constantsOf(inputs[3]).map((axis) => axisOf(axis, x)) : [...starts.keys()];
  const steps = inputs[4] ? constantsOf(inputs[4]) : starts.map(() => 1);
  const first = axes.map((axis, i) => {
    const length = x.shape[axis]!;
    const start = starts[i]! < 0 ? starts[i]! + length : starts[i]!;
    return Math.min(Math.max(start, 0), steps[i]! > 0 ? length : length - 1);
  });
  if (steps.every((step) => step === 1)) {
    const before = x.shape.map(() => 0);
    axes.forEach((axis, i) => (before[axis] = first[i]!));
    return op.pad(
      g,
      before,
      x.shape.map((length, axis) => length - y.shape[axis]! - before[axis]!),
    );
  }
  let scattered = g;
  axes.forEach((axis, i) => {
    const shape = scattered.shape.map((length, at) => (at === axis ? x.shape[axis]! : length));
    const at = Array.from({ length: y.shape[axis]! }, (_, k) => first[i]! + k * steps[i]!);
    const along = constant(
      at,
      scattered.shape.map((_, a) => (a === axis ? at.length : 1)),
      'int64',
    );
    scattered = op.make(
      'ScatterElements',
      [op.zeros(shape), op.expand(along, scattered.shape), scattered],
      shape,
      g.dataType,
      {
        axis: op.int(axis),
      },
    );
  });
  return scattered;
}
