import { floatAttribute } from '@modelmill/onnx';
import type { Attribute } from '@modelmill/onnx';
import { elementWiseCases } from './element-wise-cases-for-tests.js';
import { emit } from './emit.js';
import { UnsupportedOpError } from './errors.js';
import { moreCases } from './gradient-cases-for-tests.js';
import { gradientRules } from './gradient-rules.js';
import { gradients } from './gradients.js';
import { lowerings } from './lowerings.js';
import type { Reading } from './reading.js';
import * as op from './ops.js';
import { runnableInDoubles } from './run-doubles-for-tests.js';
import { numbers } from './run-for-tests.js';
import { constant, input, ints, operation, scalar, size } from './value.js';
import type { Shape, Value } from './value.js';
import { movementCases } from './movement-cases-for-tests.js';
import { windowCases } from './window-cases-for-tests.js';

interface Case {
  readonly rule: string;
  readonly what?: string;
  readonly shapes: readonly Shape[];
  readonly of: (...x: Value[]) => Value;
  /** Where the inputs lie; `away` keeps them from a kink at 0. */
  readonly domain?: { low?: number; high?: number; away?: number };
  /** Inputs of distinct values at least 0.05 apart: no ties, and no order that a small step changes. */
  readonly distinct?: boolean;
}

const { int, intList, make } = op;
const word = (value: string): Attribute => ({ kind: 'string', value });
const elementwise =
  (opType: string, attributes = {}) =>
  (x: Value) =>
    make(opType, [x], x.shape, x.dataType, attributes);
const unary = (rule: string, domain: Case['domain'] = {}, attributes = {}): Case => ({
  rule,
  shapes: [[2, 3]],
  of: elementwise(rule, attributes),
  domain,
});
const kinked = { low: -2, high: 2, away: 0.05 };
const positive = { low: 0.3, high: 2 };
const reduction = (rule: string, distinct = false): Case[] => [
  { rule, what: 'kept', shapes: [[2, 3, 4]], of: (x) => make(rule, [x, ints([1])], [2, 1, 4]), distinct },
  {
    rule,
    what: 'dropped',
    shapes: [[2, 3, 4]],
    of: (x) => make(rule, [x, ints([-1, 0])], [3], 'float', { keepdims: int(0) }),
    distinct,
  },
];

const conv = (
  what: string,
  x: Shape,
  w: Shape,
  y: Shape,
  attributes: Readonly<Record<string, Attribute>> = {},
): Case => ({
  rule: 'Conv',
  what,
  shapes: [x, w, [w[0]!]],
  of: (...operands) => make('Conv', operands, y, 'float', attributes),
});

const pooled = (rule: string, what: string, x: Shape, y: Shape, attributes: Record<string, Attribute>): Case => ({
  rule,
  what,
  shapes: [x],
  of: (v) =>
    rule === 'MaxPool'
      ? operation({ opType: rule, inputs: [v], attributes: new Map(Object.entries(attributes)) }, [
          { dataType: 'float', shape: y },
          { dataType: 'int64', shape: y },
        ])[0]!
      : make(rule, [v], y, 'float', attributes),
  distinct: true,
});

const gemmCase = (transA: boolean, transB: boolean): Case => ({
  rule: 'Gemm',
  what: `transA ${transA}, transB ${transB}`,
  shapes: [transA ? [4, 2] : [2, 4], transB ? [3, 4] : [4, 3], [3]],
  of: (...operands) =>
    make('Gemm', operands, [2, 3], 'float', {
      alpha: floatAttribute(0.7),
      beta: floatAttribute(1.3),
      transA: int(Number(transA)),
      transB: int(Number(transB)),
    }),
});

/** A lowered operator, as a graph that is read would have it. */
function lowered(opType: string, x: Value[], numbersOf: Record<string, number>, shape = x[0]!.shape): Value {
  const reading: Reading = {
    node: { name: '', opType, domain: '', inputs: [], outputs: [], attributes: new Map() },
    opset: 18,
    x,
    outputs: [{ dataType: 'float', shape }],
    int: (name, otherwise) => numbersOf[name] ?? otherwise,
    float: (name, otherwise) => numbersOf[name] ?? otherwise,
    mask: () => scalar(1),
    number: (_, otherwise) => otherwise,
    setStatistic: () => {},
  };
  return lowerings[opType]!(reading)![0]!;
}

const cases: readonly Case[] = [
  ...moreCases,
  { rule: 'Add', shapes: [[2, 3], [3]], of: op.add },
  {
    rule: 'Sub',
    shapes: [
      [1, 3],
      [2, 1],
    ],
    of: op.sub,
  },
  { rule: 'Mul', shapes: [[2, 3], []], of: op.mul },
  { rule: 'Mul', what: 'by itself', shapes: [[2, 3]], of: (x) => op.mul(x, x) },
  { rule: 'Div', shapes: [[2, 3], [3]], of: op.div, domain: positive },
  { rule: 'Pow', shapes: [[2, 3], [3]], of: op.pow, domain: positive },
  unary('Neg'),
  unary('Identity'),
  unary('Abs', kinked),
  unary('Sqrt', positive),
  unary('Reciprocal', positive),
  unary('Exp'),
  unary('Log', positive),
  unary('Sin'),
  unary('Cos'),
  unary('Erf'),
  { rule: 'Min', shapes: [[2, 3], [3], [2, 1]], of: op.minimum, distinct: true },
  { rule: 'Max', shapes: [[2, 3], [3]], of: (a, b) => make('Max', [a, b], [2, 3]), distinct: true },
  {
    rule: 'Where',
    shapes: [[2, 3], [3]],
    of: (a, b) => op.where(op.greater(constant([1, -1, 1, -1, -1, 1], [2, 3]), scalar(0)), a, b),
  },
  { rule: 'Clip', shapes: [[3, 4]], of: (x) => make('Clip', [x, scalar(-0.5), scalar(0.5)], [3, 4]), distinct: true },
  {
    rule: 'Clip',
    what: 'above only',
    shapes: [[3, 4]],
    of: (x) => make('Clip', [x, undefined, scalar(0.4)], [3, 4]),
    distinct: true,
  },
  { rule: 'Cast', shapes: [[2, 3]], of: (x) => op.cast(op.cast(x, 'double', 11), 'float', 1) },
  unary('Relu', kinked),
  unary('LeakyRelu', kinked, { alpha: floatAttribute(0.2) }),
  { rule: 'PRelu', shapes: [[2, 3], [3]], of: (x, slope) => make('PRelu', [x, slope], [2, 3]), domain: kinked },
  unary('Elu', kinked, { alpha: floatAttribute(1.5) }),
  unary('Selu', kinked),
  unary('Sigmoid'),
  unary('HardSigmoid', { low: -2, high: 2 }),
  unary('HardSwish', { low: -2.5, high: 2.5 }),
  unary('Tanh'),
  unary('Softplus'),
  unary('Softsign', kinked),
  unary('Mish'),
  { rule: 'Gelu', shapes: [[2, 3]], of: (x) => lowered('Gelu', [x], {}) },
  { rule: 'Swish', shapes: [[2, 3]], of: (x) => lowered('Swish', [x], { alpha: 1.2 }) },
  {
    rule: 'GroupNormalization',
    what: 'scaled per channel',
    shapes: [[2, 4, 3], [4], [4]],
    of: (...x) => lowered('GroupNormalization', x, { num_groups: 2 }),
  },
  {
    rule: 'GroupNormalization',
    what: 'scaled per group',
    shapes: [[2, 4, 3], [2], [2]],
    of: (...x) => lowered('GroupNormalization', x, { num_groups: 2 }),
  },
  { rule: 'RMSNormalization', shapes: [[2, 3, 4], [4]], of: (...x) => lowered('RMSNormalization', x, {}) },
  {
    rule: 'MeanVarianceNormalization',
    shapes: [[2, 2, 3, 2]],
    of: (x) => lowered('MeanVarianceNormalization', [x], {}),
  },
  { rule: 'Softmax', shapes: [[2, 5]], of: (x) => op.softmax(x, -1) },
  { rule: 'Softmax', what: 'of the first axis', shapes: [[4, 3]], of: (x) => op.softmax(x, 0) },
  { rule: 'LogSoftmax', shapes: [[2, 5]], of: (x) => op.logSoftmax(x, 1) },
  {
    rule: 'MatMul',
    what: 'of matrices',
    shapes: [
      [2, 4],
      [4, 3],
    ],
    of: op.matMul,
  },
  {
    rule: 'MatMul',
    what: 'of batches by a matrix',
    shapes: [
      [2, 3, 4],
      [4, 2],
    ],
    of: op.matMul,
  },
  {
    rule: 'MatMul',
    what: 'of batches that broadcast',
    shapes: [
      [2, 1, 3, 4],
      [3, 4, 2],
    ],
    of: op.matMul,
  },
  { rule: 'MatMul', what: 'of a vector by a matrix', shapes: [[4], [4, 3]], of: op.matMul },
  { rule: 'MatMul', what: 'of batches by a vector', shapes: [[2, 3, 4], [4]], of: op.matMul },
  { rule: 'MatMul', what: 'of a vector by batches', shapes: [[4], [2, 4, 3]], of: op.matMul },
  { rule: 'MatMul', what: 'of vectors', shapes: [[4], [4]], of: op.matMul },
  gemmCase(false, false),
  gemmCase(false, true),
  gemmCase(true, false),
  gemmCase(true, true),
  conv('3x3, padded', [2, 2, 5, 4], [3, 2, 3, 3], [2, 3, 5, 4], { pads: intList([1, 1, 1, 1]) }),
  conv('one input channel', [2, 1, 5, 4], [3, 1, 3, 2], [2, 3, 3, 3]),
  conv('stride 2 with a rest', [1, 2, 6, 5], [2, 2, 3, 2], [1, 2, 3, 2], {
    strides: intList([2, 2]),
    pads: intList([1, 0, 0, 0]),
  }),
  conv('dilated', [1, 2, 6, 6], [2, 2, 2, 3], [1, 2, 4, 4], { dilations: intList([2, 1]) }),
  conv('pads beyond the kernel', [1, 2, 3, 3], [2, 2, 2, 2], [1, 2, 6, 4], { pads: intList([2, 1, 2, 1]) }),
  conv('2 groups', [2, 4, 4, 4], [6, 2, 3, 3], [2, 6, 4, 4], { group: int(2), pads: intList([1, 1, 1, 1]) }),
  conv('2 groups, stride 2', [1, 4, 5, 5], [2, 2, 3, 3], [1, 2, 2, 2], { group: int(2), strides: intList([2, 2]) }),
  conv('depthwise', [2, 3, 4, 4], [6, 1, 3, 3], [2, 6, 4, 4], { group: int(3), pads: intList([1, 1, 1, 1]) }),
  conv('auto_pad', [1, 2, 5, 5], [2, 2, 2, 2], [1, 2, 3, 3], {
    auto_pad: word('SAME_LOWER'),
    strides: intList([2, 2]),
  }),
  conv('one axis', [2, 2, 6], [3, 2, 3], [2, 3, 4]),
  pooled('MaxPool', 'side by side', [2, 2, 4, 6], [2, 2, 2, 3], {
    kernel_shape: intList([2, 2]),
    strides: intList([2, 2]),
  }),
  pooled('MaxPool', 'side by side with a rest', [1, 2, 5, 5], [1, 2, 2, 2], {
    kernel_shape: intList([2, 2]),
    strides: intList([2, 2]),
  }),
  pooled('MaxPool', 'overlapping', [2, 2, 5, 5], [2, 2, 2, 2], {
    kernel_shape: intList([3, 3]),
    strides: intList([2, 2]),
  }),
  pooled('MaxPool', 'padded', [1, 2, 4, 4], [1, 2, 3, 3], {
    kernel_shape: intList([2, 2]),
    strides: intList([2, 2]),
    pads: intList([1, 1, 1, 1]),
  }),
  pooled('AveragePool', 'side by side', [2, 2, 4, 6], [2, 2, 2, 2], {
    kernel_shape: intList([2, 3]),
    strides: intList([2, 3]),
  }),
  pooled('AveragePool', 'overlapping', [1, 2, 5, 5], [1, 2, 2, 2], {
    kernel_shape: intList([3, 3]),
    strides: intList([2, 2]),
  }),
  pooled('AveragePool', 'with a rest', [1, 2, 5, 5], [1, 2, 2, 2], {
    kernel_shape: intList([2, 2]),
    strides: intList([2, 2]),
  }),
  pooled('AveragePool', 'padded', [1, 2, 4, 4], [1, 2, 3, 3], {
    kernel_shape: intList([2, 2]),
    strides: intList([2, 2]),
    pads: intList([1, 1, 1, 1]),
  }),
  pooled('AveragePool', 'padding counted', [1, 2, 4, 4], [1, 2, 3, 3], {
    kernel_shape: intList([2, 2]),
    strides: intList([2, 2]),
    pads: intList([1, 1, 1, 1]),
    count_include_pad: int(1),
  }),
  pooled('GlobalAveragePool', 'of two axes', [2, 3, 3, 2], [2, 3, 1, 1], {}),
  pooled('GlobalMaxPool', 'of two axes', [2, 3, 3, 2], [2, 3, 1, 1], {}),
  {
    rule: 'LayerNormalization',
    what: 'that adds nothing',
    shapes: [[2, 3, 4], [4]],
    of: (...x) => lowered('LayerNormalization', x, { axis: -1 }),
  },
  {
    rule: 'LayerNormalization',
    what: 'of two axes that adds nothing',
    shapes: [
      [2, 3, 4],
      [3, 4],
    ],
    of: (...x) => lowered('LayerNormalization', x, { axis: 1 }),
  },
  {
    rule: 'LayerNormalization',
    shapes: [[2, 3, 4], [4], [4]],
    of: (...x) => lowered('LayerNormalization', x, { axis: -1 }),
  },
  {
    rule: 'BatchNormalization',
    what: 'in training',
    shapes: [[3, 2, 2, 2], [2], [2]],
    of: (...x) =>
      lowered('BatchNormalization', [...x, constant([0, 0], [2]), constant([1, 1], [2])], { training_mode: 1 }),
  },
  {
    rule: 'BatchNormalization',
    what: 'frozen',
    shapes: [[3, 2, 2, 2], [2], [2]],
    of: (...x) => lowered('BatchNormalization', [...x, constant([0.2, 0.1], [2]), constant([2, 0.5], [2])], {}),
  },
  ...reduction('ReduceSum'),
  ...reduction('ReduceMean'),
  ...reduction('ReduceSumSquare'),
  ...reduction('ReduceL2'),
  ...reduction('ReduceLogSumExp'),
  ...reduction('ReduceMax', true),
  ...reduction('ReduceMin', true),
  { rule: 'Reshape', shapes: [[2, 6]], of: (x) => op.reshape(x, [3, 4]) },
  { rule: 'Flatten', shapes: [[2, 3, 2]], of: (x) => make('Flatten', [x], [2, 6]) },
  { rule: 'Squeeze', shapes: [[2, 1, 3]], of: (x) => make('Squeeze', [x, ints([1])], [2, 3]) },
  { rule: 'Unsqueeze', shapes: [[2, 3]], of: (x) => make('Unsqueeze', [x, ints([0])], [1, 2, 3]) },
  { rule: 'Expand', shapes: [[3, 1]], of: (x) => op.expand(x, [2, 3, 4]) },
  { rule: 'Transpose', shapes: [[2, 3, 4]], of: (x) => op.transpose(x, [2, 0, 1]) },
  { rule: 'Transpose', what: 'reversed', shapes: [[2, 3, 4]], of: (x) => make('Transpose', [x], [4, 3, 2]) },
  {
    rule: 'Concat',
    shapes: [
      [2, 3],
      [2, 1],
    ],
    of: (a, b) => op.concat([a, b], 1),
  },
  {
    rule: 'Split',
    what: 'of which one part is used twice and one never',
    shapes: [[2, 6]],
    of: (x) => {
      const [a, , c] = op.split(x, [2, 2, 2], 1);
      return op.add(op.mul(a!, c!), op.mul(c!, c!));
    },
  },
  { rule: 'Slice', shapes: [[4, 5]], of: (x) => op.slice(x, [{ axis: 1, start: 1, end: 4, step: 1 }]) },
  {
    rule: 'Slice',
    what: 'with steps',
    shapes: [[4, 5]],
    of: (x) =>
      op.slice(x, [
        { axis: 1, start: 1, end: 5, step: 2 },
        { axis: 0, start: 3, end: -1, step: -1 },
      ]),
  },
  { rule: 'Pad', shapes: [[2, 3]], of: (x) => op.pad(x, [1, 0], [0, 2]) },
  { rule: 'Gather', shapes: [[4, 3]], of: (x) => make('Gather', [x, constant([2, 0, 2], [3], 'int64')], [3, 3]) },
  {
    rule: 'Gather',
    what: 'of a vector at many known places',
    shapes: [[3]],
    of: (x) => {
      const places = Array.from({ length: 300 }, (_, i) => [0, 2, -3, 2, -1][(i * i) % 5]!);
      return make('Gather', [x, constant(places, [15, 20], 'int64')], [15, 20]);
    },
  },
  { rule: 'Trilu', shapes: [[3, 3]], of: (x) => make('Trilu', [x], [3, 3], 'float', { upper: int(0) }) },
];

const step = 1e-5;

describe('gradients', () => {
  it.each(cases.map((one) => [`${one.rule}${one.what ? `, ${one.what}` : ''}`, one] as const))(
    'of %s agree with central differences',
    async (_, { shapes, of, domain, distinct }) => {
      const inputs = shapes.map((shape, i) => input(`x${i}`, shape));
      const y = of(...inputs);
      const weights = constant(numbers(size(y.shape), { seed: 77 }), y.shape);
      const loss = op.sum(op.mul(y, weights));
      // as for any engine, and as for the CPU
      const found = [gradients(loss, inputs), gradients(loss, inputs, { columns: true })];
      const outputs = new Map([['y', y]]);
      for (const [way, of] of found.entries()) inputs.forEach((x, i) => outputs.set(`g${i}.${way}`, of.get(x)!));
      const run = await runnableInDoubles(emit({ name: 'gradients', inputs, outputs }));
      // the forward pass alone, so that a point costs no gradients
      const forward = await runnableInDoubles(emit({ name: 'forward', inputs, outputs: new Map([['y', y]]) }));
      const values = shapes.map((shape, i) => valuesOf(size(shape), i, domain, distinct));

      const lossAt = async (at: Float64Array[]) => {
        const { y: result } = await forward(feedsOf(shapes, at));
        return result!.data.reduce((sum, value, i) => sum + value * numberAt(weights, i), 0);
      };
      const analytic = await run(feedsOf(shapes, values));
      for (const [i, of] of values.entries()) {
        const wanted = new Float64Array(of.length);
        for (let k = 0; k < of.length; k++) {
          const moved = (by: number) =>
            values.map((v, j) => (i === j ? v.map((value, at) => (at === k ? value + by : value)) : v));
          wanted[k] = ((await lossAt(moved(step))) - (await lossAt(moved(-step)))) / (2 * step);
        }
        for (const way of found.keys()) {
          const { data } = analytic[`g${i}.${way}`]!;
          const worst = Math.max(...wanted.map((w, k) => Math.abs(w - data[k]!) / (1 + Math.abs(w))));
          expect(worst).toBeLessThan(1e-6);
        }
        expect(wanted.some((w) => Math.abs(w) > 0.01)).toBe(true);
      }
    },
  );

  it('are checked for every rule there is', () => {
    const ofNodes = [...movementCases, ...elementWiseCases, ...windowCases];
    const checked = new Set([...cases.map(({ rule }) => rule), ...ofNodes.map((one) => one.op)]);
    expect(Object.keys(gradientRules).filter((rule) => !checked.has(rule))).toEqual([]);
  });

  it('stop at an operator without a rule, and name it', () => {
    const x = input('x', [3]);
    const y = operation({ opType: 'Det', node: 'layer7', inputs: [x], attributes: new Map() }, [
      { dataType: 'float', shape: [] },
    ])[0]!;
    expect(() => gradients(y, [x])).toThrow(UnsupportedOpError);
    expect(() => gradients(y, [x])).toThrow(/Det.*'layer7'/);
  });

  it('never look at what the weights do not reach', () => {
    const x = input('x', [3]);
    const unrelated = operation({ opType: 'Det', inputs: [input('z', [2, 2])], attributes: new Map() }, [
      { dataType: 'float', shape: [] },
    ])[0]!;
    expect(gradients(op.sum(op.mul(x, unrelated)), [x]).size).toBe(1);
  });
});

function valuesOf(count: number, i: number, domain: Case['domain'], distinct = false): Float64Array {
  if (!distinct) return Float64Array.from(numbers(count, { ...domain, seed: i + 1 }));
  const order = numbers(count, { seed: i + 5 });
  const ranks = [...order.keys()].sort((a, b) => order[a]! - order[b]!);
  const values = new Float64Array(count);
  // offset between the inputs, so that they do not tie with each other
  ranks.forEach((at, rank) => (values[at] = (rank - count / 2 + 0.3 * (i + 1)) * 0.1));
  return values;
}

const numberAt = ({ source }: Value, i: number) => (source.kind === 'constant' ? source.values[i]! : 0);

const feedsOf = (shapes: readonly Shape[], values: readonly Float64Array[]) =>
  Object.fromEntries(shapes.map((dims, i) => [`x${i}`, { dims, data: values[i]! }]));
