import type { ShapeQuestion, StaticType } from './infer-shapes.js';
import { dataTypes, ShapeError } from './model.js';
import type { DataType } from './model.js';

type ShapeRule = (question: ShapeQuestion) => StaticType[];

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
export const shapeRules: Readonly<Record<string, ShapeRule>> = {
  ...rows(
    'Identity Neg Exp Log Sqrt Reciprocal Abs Sign Floor Ceil Round Relu LeakyRelu Elu Selu Sigmoid HardSigmoid HardSwish Tanh Softplus Softsign Erf Sin Cos Atan Softmax LogSoftmax Gelu Mish Not Clip Trilu CumSum ThresholdedRelu',
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
  QuantizeLinear: ({ x: [x, , zero] }) => [{ dataType: zero?.dataType ?? 'uint8', shape: known(x).shape }],
  DequantizeLinear: ({ x: [x, scale] }) => [{ dataType: known(scale).dataType, shape: known(x).shape }],
  Dropout: ({ x: [x] }) => [known(x), { dataType: 'bool', shape: known(x).shape }],
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
  Conv: (question) => [{ dataType: known(question.x[0]).dataType, shape: convShape(question) }],
  ConvTranspose: (question) => [{ dataType: known(question.x[0]).dataType, shape: convTransposeShape(question) }],
  MaxPool: (question) => {
    const shape = poolShape(question);
    return [
      { dataType: known(question.x[0]).dataType, shape },
      { dataType: 'int64', shape },
    ];
  },
  AveragePool: (question) => [{ dataType: known(question.x[0]).dataType, shape: poolShape(question) }],
  ...rows('GlobalAveragePool GlobalMaxPool', ({ x: [x] }) => [
    { dataType: known(x).dataType, shape: known(x).shape.map((size, axis) => (axis < 2 ? size : 1)) },
  ]),
  MaxUnpool: ({ x: [x], ints }) => [{ dataType: known(x).dataType, shape: constant(ints(2), 'output_shape') }],
  ...rows(
    'ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp',
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
      shape: reshaped(known(x).shape, constant(ints(1), 'shape'), int('allowzero', 0) === 1),
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
    { dataType: known(x).dataType, shape: broadcast(known(x).shape, constant(ints(1), 'shape')) },
  ],
  Tile: ({ x: [x], ints }) => {
    const repeats = constant(ints(1), 'repeats');
    return [{ dataType: known(x).dataType, shape: known(x).shape.map((size, i) => size * repeats[i]!) }];
  },
  Concat: ({ x, int }) => {
    const first = known(x[0]);
    const axis = axisOf(int('axis', 0), first.shape.length);
    const along = x.reduce((sum, type) => sum + known(type).shape[axis]!, 0);
    return [{ dataType: first.dataType, shape: first.shape.map((size, i) => (i === axis ? along : size)) }];
  },
  Split: ({ x: [x], node, ints, list, int }) => {
    const { dataType, shape } = known(x);
    const axis = axisOf(int('axis', 0), shape.length);
    const parts = node.outputs.length;
    const each = Math.ceil(shape[axis]! / parts);
    const sizes =
      ints(1) ??
      list('split') ??
      Array.from({ length: parts }, (_, i) => (i < parts - 1 ? each : shape[axis]! - each * (parts - 1)));
    return sizes.map((size) => ({ dataType, shape: shape.map((old, i) => (i === axis ? size : old)) }));
  },
  Slice: (question) => [{ dataType: known(question.x[0]).dataType, shape: slicedShape(question) }],
  Pad: ({ x: [x], ints, list }) => {
    const { dataType, shape } = known(x);
    const pads = constant(ints(1) ?? list('pads'), 'pads');
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
  Shape: ({ x: [x] }) => [{ dataType: 'int64', shape: [known(x).shape.length] }],
  Constant: ({ node }) => {
    const value = node.attributes.get('value');
    if (value?.kind !== 'tensor') throw new ShapeError('only constants of the attribute value are known');
    return [{ dataType: value.value.dataType, shape: value.value.dims }];
  },
  OneHot: ({ x: [indices, , values], ints, int }) => {
    const { shape } = known(indices);
    const axis = axisOf(int('axis', -1), shape.length + 1);
    const depth = constant(ints(1), 'depth')[0]!;
    return [{ dataType: known(values).dataType, shape: [...shape.slice(0, axis), depth, ...shape.slice(axis)] }];
  },
};

function rows(names: string, rule: ShapeRule): Record<string, ShapeRule> {
  return Object.fromEntries(names.split(' ').map((name) => [name, rule]));
}

function known(type: StaticType | undefined): StaticType {
  if (!type) throw new ShapeError('an input is missing');
  return type;
}

function constant(values: readonly number[] | undefined, what: string): readonly number[] {
  if (!values) throw new ShapeError(`its ${what} is no constant`);
  return values;
}

export const product = (sizes: readonly number[]) => sizes.reduce((all, size) => all * size, 1);

export function axisOf(axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  if (!(positive >= 0 && positive < rank)) throw new ShapeError(`axis ${axis} of ${rank} axes`);
  return positive;
}

/** https://onnx.ai/onnx/repo-docs/Broadcasting.html, multidirectional. */
export function broadcast(a: readonly number[], b: readonly number[]): readonly number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const m = a[a.length - rank + axis] ?? 1;
    const n = b[b.length - rank + axis] ?? 1;
    if (m !== n && m !== 1 && n !== 1)
      throw new ShapeError(`cannot broadcast [${a.join(', ')}] with [${b.join(', ')}]`);
    return m === 1 ? n : m;
  });
}

const turned = (shape: readonly number[], turn: number) => (turn ? [...shape].reverse() : shape);

function matMulShape(a: readonly number[], b: readonly number[]): number[] {
  const left = a.length === 1 ? [1, ...a] : a;
  const right = b.length === 1 ? [...b, 1] : b;
  if (left.at(-1) !== right.at(-2)) {
    throw new ShapeError(`takes [.., m, k] and [.., k, n], got [${a.join(', ')}] and [${b.join(', ')}]`);
  }
  const batch = broadcast(left.slice(0, -2), right.slice(0, -2));
  return [...batch, ...(a.length === 1 ? [] : [left.at(-2)!]), ...(b.length === 1 ? [] : [right.at(-1)!])];
}

function windows({ list, word }: ShapeQuestion, spatial: readonly number[], kernel: readonly number[]): number[] {
  const ones = spatial.map(() => 1);
  const strides = list('strides') ?? ones;
  const dilations = list('dilations') ?? ones;
  const pads = list('pads') ?? spatial.flatMap(() => [0, 0]);
  const auto = word('auto_pad', 'NOTSET');
  return spatial.map((size, i) => {
    if (auto.startsWith('SAME')) return Math.ceil(size / strides[i]!);
    const around = auto === 'VALID' ? 0 : pads[i]! + pads[spatial.length + i]!;
    const free = size + around - dilations[i]! * (kernel[i]! - 1) - 1;
    if (free < 0) throw new ShapeError(`a window of ${kernel[i]} does not fit into ${size + around}`);
    return Math.floor(free / strides[i]!) + 1;
  });
}

function convShape(question: ShapeQuestion): number[] {
  const { shape } = known(question.x[0]);
  const weight = known(question.x[1]).shape;
  const groups = question.int('group', 1);
  if (shape.length !== weight.length || shape[1] !== weight[1]! * groups) {
    throw new ShapeError(
      `takes [n, ${weight[1]! * groups}, …] for a kernel of [${weight.join(', ')}], got [${shape.join(', ')}]`,
    );
  }
  return [shape[0]!, weight[0]!, ...windows(question, shape.slice(2), weight.slice(2))];
}

function convTransposeShape(question: ShapeQuestion): number[] {
  const { list, int } = question;
  const { shape } = known(question.x[0]);
  const weight = known(question.x[1]).shape;
  const kernel = weight.slice(2);
  const ones = kernel.map(() => 1);
  const strides = list('strides') ?? ones;
  const dilations = list('dilations') ?? ones;
  const pads = list('pads') ?? kernel.flatMap(() => [0, 0]);
  const extra = list('output_padding') ?? kernel.map(() => 0);
  const spatial = kernel.map(
    (size, i) =>
      strides[i]! * (shape[2 + i]! - 1) +
      extra[i]! +
      dilations[i]! * (size - 1) +
      1 -
      pads[i]! -
      pads[kernel.length + i]!,
  );
  return [shape[0]!, weight[1]! * int('group', 1), ...spatial];
}

function poolShape(question: ShapeQuestion): number[] {
  const { shape } = known(question.x[0]);
  if (question.int('ceil_mode', 0) === 1) throw new ShapeError('ceil_mode is not known');
  const kernel = constant(question.list('kernel_shape'), 'kernel_shape');
  return [...shape.slice(0, 2), ...windows(question, shape.slice(2), kernel)];
}

function reducedShape({ x, ints, list, int }: ShapeQuestion): number[] {
  const { shape } = known(x[0]);
  const axes = (ints(1) ?? list('axes') ?? [...shape.keys()]).map((axis) => axisOf(axis, shape.length));
  const keep = int('keepdims', 1) === 1;
  return shape.flatMap((size, i) => (!axes.includes(i) ? [size] : keep ? [1] : []));
}

function reshaped(from: readonly number[], to: readonly number[], allowZero: boolean): number[] {
  const sizes = to.map((size, i) => (size === 0 && !allowZero ? from[i]! : size));
  const open = sizes.indexOf(-1);
  const rest = product(sizes.filter((size) => size !== -1));
  if (open >= 0) sizes[open] = product(from) / rest;
  if (product(sizes) !== product(from) || !sizes.every(Number.isInteger)) {
    throw new ShapeError(`[${from.join(', ')}] does not hold as many as [${to.join(', ')}]`);
  }
  return sizes;
}

function slicedShape({ x, ints, list }: ShapeQuestion): number[] {
  const { shape } = known(x[0]);
  const starts = constant(ints(1) ?? list('starts'), 'starts');
  const ends = constant(ints(2) ?? list('ends'), 'ends');
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
