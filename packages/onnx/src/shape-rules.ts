import { contribDomain } from './admitted-operators.js';
import { dataTypes, ShapeError } from './model.js';
import type { Attribute, DataType, Tensor } from './model.js';
import { sizes } from './quoted.js';
import { contribShapes, quantizedShapes } from './quantized-shapes.js';
import { rearrangedShapes } from './rearranged-shapes.js';
import { attentionTypes } from './attention-shapes.js';
import { axisOf, broadcast, given, known, product } from './shape-question.js';
import type { ShapeQuestion, ShapeRule, StaticType } from './shape-question.js';
import { floatTensor, int64Tensor } from './tensor.js';
import { convShape, convTransposeShape, poolShape } from './window-shapes.js';

const typeByNumber: ReadonlyMap<number, DataType> = new Map(
  Object.entries(dataTypes).map(([name, number]) => [number, name as DataType]),
);

const same: ShapeRule = ({ x: [x] }) => [known(x)];
const elementwise: ShapeRule = ({ x }) => {
  const operands = x.filter((type) => type !== undefined);
  return [{ dataType: known(operands[0]).dataType, shape: operands.map(({ shape }) => shape).reduce(broadcast) }];
};
const comparison: ShapeRule = (question) => [{ ...elementwise(question)[0]!, dataType: 'bool' }];

/** One row per operator; https://onnx.ai/onnx/operators says what each is. */
const ownRules: Readonly<Record<string, ShapeRule>> = {
  ...rearrangedShapes,
  ...rows(
    'Identity Neg Exp Log Sqrt Reciprocal Abs Sign Floor Ceil Round Relu LeakyRelu Elu Selu Sigmoid HardSigmoid HardSwish Tanh Softplus Softsign Erf Sin Cos Atan Softmax LogSoftmax Gelu Mish Not Clip Trilu CumSum ThresholdedRelu Shrink LRN Celu Hardmax Tan Asin Acos Sinh Cosh Asinh Acosh Atanh Swish GroupNormalization RMSNormalization MeanVarianceNormalization LpNormalization RotaryEmbedding ReverseSequence',
    same,
  ),
  ...rows('Add Sub Mul Div Pow Min Max PRelu Mod Sum Mean And Or Xor', elementwise),
  ...rows('Equal Greater Less GreaterOrEqual LessOrEqual', comparison),
  ...rows('IsNaN IsInf', ({ x: [x] }) => [{ dataType: 'bool', shape: known(x).shape }]),
  Where: ({ x: [condition, a, b] }) => [
    {
      dataType: known(a).dataType,
      shape: broadcast(known(condition).shape, broadcast(known(a).shape, known(b).shape)),
    },
  ],
  Cast: ({ x: [x], int }) => [{ dataType: typeByNumber.get(int('to', 1)) ?? 'float', shape: known(x).shape }],
  CastLike: ({ x: [x, like] }) => [{ dataType: known(like).dataType, shape: known(x).shape }],
  QuantizeLinear: ({ x: [x, , zero], int }) => [
    { dataType: zero?.dataType ?? typeByNumber.get(int('output_dtype', 2)) ?? 'uint8', shape: known(x).shape },
  ],
  DequantizeLinear: ({ x: [x, scale] }) => [{ dataType: known(scale).dataType, shape: known(x).shape }],
  Dropout: ({ x: [x], opset }) => [known(x), { ...known(x), dataType: opset < 10 ? known(x).dataType : 'bool' }],
  BatchNormalization: ({ x: [x, , , mean, variance] }) => [known(x), known(mean), known(variance)],
  InstanceNormalization: same,
  LayerNormalization: ({ x: [x], int }) => {
    const { dataType, shape } = known(x);
    const axis = axisOf(int('axis', -1), shape.length);
    const reduced = shape.map((size, i) => (i < axis ? size : 1));
    return [known(x), { dataType, shape: reduced }, { dataType, shape: reduced }];
  },
  MatMul: ({ x: [a, b] }) => [{ dataType: known(a).dataType, shape: matMulShape(known(a).shape, known(b).shape) }],
  Gemm: ({ x: [a, b], int }) => {
    const [rows = 0, inner = 0] = turned(known(a).shape, int('transA', 0));
    const [innerOfB = 0, columns = 0] = turned(known(b).shape, int('transB', 0));
    if (inner !== innerOfB) throw new ShapeError(`takes [m, ${inner}] and [${inner}, n], got [${innerOfB}, n]`);
    return [{ dataType: known(a).dataType, shape: [rows, columns] }];
  },
  Attention: attentionTypes,
  ...rows('LSTM GRU RNN', recurrentTypes),
  Conv: (question) => [{ dataType: known(question.x[0]).dataType, shape: convShape(question) }],
  ConvTranspose: (question) => [{ dataType: known(question.x[0]).dataType, shape: convTransposeShape(question) }],
  MaxPool: (question) => {
    const shape = poolShape(question);
    return [
      { dataType: known(question.x[0]).dataType, shape },
      { dataType: 'int64', shape },
    ];
  },
  ...rows('AveragePool LpPool', (question) => [
    { dataType: known(question.x[0]).dataType, shape: poolShape(question) },
  ]),
  ...rows('GlobalAveragePool GlobalMaxPool GlobalLpPool', ({ x: [x] }) => [
    { dataType: known(x).dataType, shape: known(x).shape.map((size, axis) => (axis < 2 ? size : 1)) },
  ]),
  MaxUnpool: ({ x: [x], ints }) => [{ dataType: known(x).dataType, shape: given(ints(2), 'output_shape') }],
  ...rows(
    'ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum ReduceLogSumExp',
    (question) => [{ dataType: known(question.x[0]).dataType, shape: reducedShape(question) }],
  ),
  ...rows('ArgMax ArgMin', ({ x: [x], int }) => {
    const axis = axisOf(int('axis', 0), known(x).shape.length);
    const keep = int('keepdims', 1) === 1;
    return [
      {
        dataType: 'int64',
        shape: known(x).shape.flatMap((size, i) => (i !== axis ? [size] : keep ? [1] : [])),
      },
    ];
  }),
  Reshape: ({ x: [x], ints, int }) => [
    {
      dataType: known(x).dataType,
      shape: reshaped(known(x).shape, given(ints(1), 'shape'), int('allowzero', 0) === 1),
    },
  ],
  Flatten: ({ x: [x], int }) => {
    const { dataType, shape } = known(x);
    const axis = int('axis', 1) < 0 ? int('axis', 1) + shape.length : int('axis', 1);
    return [{ dataType, shape: [product(shape.slice(0, axis)), product(shape.slice(axis))] }];
  },
  Transpose: ({ x: [x], list }) => {
    const { dataType, shape } = known(x);
    const perm = list('perm') ?? shape.map((_, axis) => shape.length - 1 - axis);
    return [{ dataType, shape: perm.map((axis) => shape[axis]!) }];
  },
  Squeeze: ({ x: [x], ints, list }) => {
    const { dataType, shape } = known(x);
    const axes = (ints(1) ?? list('axes'))?.map((axis) => axisOf(axis, shape.length));
    return [{ dataType, shape: shape.filter((size, i) => (axes ? !axes.includes(i) : size !== 1)) }];
  },
  Unsqueeze: ({ x: [x], ints, list }) => {
    const { dataType, shape } = known(x);
    const axes = ints(1) ?? list('axes') ?? [];
    const rank = shape.length + axes.length;
    const added = axes.map((axis) => axisOf(axis, rank));
    const sizes = [...shape];
    return [{ dataType, shape: Array.from({ length: rank }, (_, i) => (added.includes(i) ? 1 : sizes.shift()!)) }];
  },
  Expand: ({ x: [x], ints }) => [
    { dataType: known(x).dataType, shape: broadcast(known(x).shape, given(ints(1), 'shape')) },
  ],
  Tile: ({ x: [x], ints }) => {
    const repeats = given(ints(1), 'repeats');
    return [{ dataType: known(x).dataType, shape: known(x).shape.map((size, i) => size * repeats[i]!) }];
  },
  Concat: ({ x, int }) => {
    const first = known(x[0]);
    const axis = axisOf(int('axis', 0), first.shape.length);
    for (const type of x) {
      const { shape } = known(type);
      if (shape.length !== first.shape.length || shape.some((size, i) => i !== axis && size !== first.shape[i])) {
        throw new ShapeError(`cannot join ${sizes(first.shape)} and ${sizes(shape)} along axis ${axis}`);
      }
    }
    const along = x.reduce((sum, type) => sum + known(type).shape[axis]!, 0);
    return [{ dataType: first.dataType, shape: first.shape.map((size, i) => (i === axis ? along : size)) }];
  },
  Split: ({ x: [x], node, ints, list, int }) => {
    const { dataType, shape } = known(x);
    const axis = axisOf(int('axis', 0), shape.length);
    const parts = node.outputs.length;
    const each = Math.ceil(shape[axis]! / parts);
    const along =
      ints(1) ??
      list('split') ??
      Array.from({ length: parts }, (_, i) => (i < parts - 1 ? each : shape[axis]! - each * (parts - 1)));
    if (along.length !== parts || along.reduce((sum, size) => sum + size, 0) !== shape[axis]) {
      throw new ShapeError(`cannot part ${shape[axis]} into ${parts} of ${sizes(along)}`);
    }
    return along.map((size) => ({ dataType, shape: shape.map((old, i) => (i === axis ? size : old)) }));
  },
  Slice: (question) => [{ dataType: known(question.x[0]).dataType, shape: slicedShape(question) }],
  Pad: ({ x: [x], ints, list }) => {
    const { dataType, shape } = known(x);
    const pads = given(ints(1) ?? list('pads'), 'pads');
    const axes = (ints(3) ?? [...shape.keys()]).map((axis) => axisOf(axis, shape.length));
    const padded = [...shape];
    axes.forEach((axis, i) => (padded[axis] = padded[axis]! + pads[i]! + pads[axes.length + i]!));
    return [{ dataType, shape: padded }];
  },
  Gather: ({ x: [data, indices], int }) => {
    const { dataType, shape } = known(data);
    const axis = axisOf(int('axis', 0), shape.length);
    return [{ dataType, shape: [...shape.slice(0, axis), ...known(indices).shape, ...shape.slice(axis + 1)] }];
  },
  GatherElements: ({ x: [data, indices] }) => [{ dataType: known(data).dataType, shape: known(indices).shape }],
  ...rows('ScatterND ScatterElements', same),
  Shape: ({ x: [x], int }) => {
    const { shape } = known(x);
    return [{ dataType: 'int64', shape: [shape.slice(int('start', 0), int('end', shape.length)).length] }];
  },
  Size: () => [{ dataType: 'int64', shape: [] }],
  Constant: ({ node }) => {
    const value = constantTensor(node.attributes);
    if (!value) throw new ShapeError(`a constant of ${[...node.attributes.keys()].join(', ')} is not known`);
    return [{ dataType: value.dataType, shape: value.dims }];
  },
  ConstantOfShape: ({ node, ints }) => {
    const value = node.attributes.get('value');
    return [{ dataType: value?.kind === 'tensor' ? value.value.dataType : 'float', shape: given(ints(0), 'shape') }];
  },
  Range: ({ x: [start], ints }) => {
    const [from = 0, to = 0, step = 1] = [0, 1, 2].map((position) => given(ints(position), 'range')[0]);
    return [{ dataType: known(start).dataType, shape: [Math.max(0, Math.ceil((to - from) / step))] }];
  },
  OneHot: ({ x: [indices, , values], ints, int }) => {
    const { shape } = known(indices);
    const axis = axisOf(int('axis', -1), shape.length + 1);
    const depth = given(ints(1), 'depth')[0]!;
    return [{ dataType: known(values).dataType, shape: [...shape.slice(0, axis), depth, ...shape.slice(axis)] }];
  },
};

/** By domain and operator. */
export const shapeRules: Readonly<Record<string, Readonly<Record<string, ShapeRule>>>> = {
  '': { ...ownRules, ...quantizedShapes(ownRules) },
  [contribDomain]: contribShapes(ownRules),
};

/** What a Constant node holds, in any of the attributes it may be given in; undefined for strings and sparse ones. */
export function constantTensor(attributes: ReadonlyMap<string, Attribute>): Tensor | undefined {
  const [[name, attribute] = []] = attributes;
  switch (attribute?.kind) {
    case 'tensor':
      return attribute.value;
    case 'int':
      return int64Tensor(name!, [], [attribute.value]);
    case 'ints':
      return int64Tensor(name!, [attribute.value.length], attribute.value);
    case 'float':
      return floatTensor(name!, [], [attribute.value]);
    case 'floats':
      return floatTensor(name!, [attribute.value.length], attribute.value);
    default:
      return undefined;
  }
}

function rows(names: string, rule: ShapeRule): Record<string, ShapeRule> {
  return Object.fromEntries(names.split(' ').map((name) => [name, rule]));
}

const turned = (shape: readonly number[], turn: number) => (turn ? [...shape].reverse() : shape);

function matMulShape(a: readonly number[], b: readonly number[]): number[] {
  const left = a.length === 1 ? [1, ...a] : a;
  const right = b.length === 1 ? [...b, 1] : b;
  if (left.at(-1) !== right.at(-2)) {
    throw new ShapeError(`takes [.., m, k] and [.., k, n], got ${sizes(a)} and ${sizes(b)}`);
  }
  const batch = broadcast(left.slice(0, -2), right.slice(0, -2));
  return [...batch, ...(a.length === 1 ? [] : [left.at(-2)!]), ...(b.length === 1 ? [] : [right.at(-1)!])];
}

/** Y of every step, Y_h and, of an LSTM, Y_c of the last. */
function recurrentTypes({ x: [x, , recurrence], node, int }: ShapeQuestion): StaticType[] {
  const { dataType, shape } = known(x);
  if (shape.length !== 3) throw new ShapeError(`takes [time, batch, width], got ${sizes(shape)}`);
  const [directions = 1, , hidden = 1] = known(recurrence).shape;
  const inTurn = int('layout', 0) === 0;
  const [time = 0, batch = 0] = inTurn ? shape : [shape[1], shape[0]];
  const all = inTurn ? [time, directions, batch, hidden] : [batch, time, directions, hidden];
  const last = inTurn ? [directions, batch, hidden] : [batch, directions, hidden];
  return [all, last, last].slice(0, node.opType === 'LSTM' ? 3 : 2).map((of) => ({ dataType, shape: of }));
}

function reducedShape({ x, ints, list, int }: ShapeQuestion): number[] {
  const { shape } = known(x[0]);
  const named = ints(1) ?? list('axes') ?? [];
  const every = named.length === 0 && int('noop_with_empty_axes', 0) !== 1;
  const axes = every ? [...shape.keys()] : named.map((axis) => axisOf(axis, shape.length));
  const keep = int('keepdims', 1) === 1;
  return shape.flatMap((size, i) => (!axes.includes(i) ? [size] : keep ? [1] : []));
}

function reshaped(from: readonly number[], to: readonly number[], allowZero: boolean): number[] {
  const shape = to.map((size, i) => (size === 0 && !allowZero ? from[i]! : size));
  const open = shape.indexOf(-1);
  if (open >= 0) shape[open] = product(from) / product(shape.filter((size) => size !== -1));
  if (product(shape) !== product(from) || !shape.every((size) => Number.isInteger(size) && size >= 0)) {
    throw new ShapeError(`${sizes(from)} does not hold as many as ${sizes(to)}`);
  }
  return shape;
}

function slicedShape({ x, ints, list }: ShapeQuestion): number[] {
  const { shape } = known(x[0]);
  const starts = given(ints(1) ?? list('starts'), 'starts');
  const ends = given(ints(2) ?? list('ends'), 'ends');
  const axes = (ints(3) ?? list('axes') ?? [...starts.keys()]).map((axis) => axisOf(axis, shape.length));
  const steps = ints(4) ?? starts.map(() => 1);
  const sliced = [...shape];
  axes.forEach((axis, i) => {
    const size = shape[axis]!;
    const step = steps[i]!;
    const at = (index: number, lo: number, hi: number) => Math.min(hi, Math.max(lo, index < 0 ? index + size : index));
    const span =
      step > 0
        ? at(ends[i]!, 0, size) - at(starts[i]!, 0, size)
        : at(starts[i]!, 0, size - 1) - at(ends[i]!, -1, size - 1);
    sliced[axis] = Math.max(0, Math.ceil(span / Math.abs(step)));
  });
  return sliced;
}
