import { floatAttribute } from '@modelmill/onnx';
import type { Attribute } from '@modelmill/onnx';
import * as op from './ops.js';
import { constant, ints, operation, scalar } from './value.js';
import type { Shape, Value } from './value.js';

interface MoreCase {
  readonly rule: string;
  readonly what?: string;
  readonly shapes: readonly Shape[];
  readonly of: (...x: Value[]) => Value;
  readonly domain?: { low?: number; high?: number; away?: number };
  readonly distinct?: boolean;
}

const { int, intList, make } = op;
const word = (value: string): Attribute => ({ kind: 'string', value });
const indices = (values: readonly number[], shape: readonly number[]) => constant(values, shape, 'int64');
const function1 = (rule: string, domain: MoreCase['domain'] = {}, attributes = {}): MoreCase => ({
  rule,
  shapes: [[2, 3]],
  of: (x) => make(rule, [x], x.shape, x.dataType, attributes),
  domain,
});

/** A step function has no slope: something that has one is added. */
const step = (rule: string): MoreCase => ({
  rule,
  what: 'beside x²',
  shapes: [[2, 3]],
  of: (x) => op.add(make(rule, [x], x.shape), op.mul(x, x)),
  domain: { low: 0.1, high: 0.4 },
});

const convTranspose = (
  what: string,
  x: Shape,
  w: Shape,
  y: Shape,
  attributes: Readonly<Record<string, Attribute>> = {},
): MoreCase => ({
  rule: 'ConvTranspose',
  what,
  shapes: [x, w, [y[1]!]],
  of: (...operands) => make('ConvTranspose', operands, y, 'float', attributes),
});

const einsum = (equation: string, shapes: readonly Shape[], y: Shape): MoreCase => ({
  rule: 'Einsum',
  what: equation,
  shapes,
  of: (...x) => make('Einsum', x, y, 'float', { equation: word(equation) }),
});

const resize = (
  what: string,
  x: Shape,
  y: Shape,
  attributes: Readonly<Record<string, Attribute>>,
  scales?: readonly number[],
): MoreCase => ({
  rule: 'Resize',
  what,
  shapes: [x],
  of: (v) =>
    make(
      'Resize',
      scales ? [v, undefined, constant(scales, [scales.length])] : [v, undefined, undefined, ints(y)],
      y,
      'float',
      attributes,
    ),
});

/** Rows of the table beside those of gradient-rules.test.ts. */
export const moreCases: readonly MoreCase[] = [
  function1('Tan', { low: -1, high: 1 }),
  function1('Asin', { low: -0.8, high: 0.8 }),
  function1('Acos', { low: -0.8, high: 0.8 }),
  function1('Atan'),
  function1('Sinh'),
  function1('Cosh', { low: 0.2, high: 1 }),
  function1('Asinh'),
  function1('Acosh', { low: 1.3, high: 3 }),
  function1('Atanh', { low: -0.8, high: 0.8 }),
  function1('Celu', { low: -2, high: 2, away: 0.05 }, { alpha: floatAttribute(1.5) }),
  function1('ThresholdedRelu', { low: 1.1, high: 2 }, { alpha: floatAttribute(1) }),
  function1('Shrink', { low: 0.6, high: 2 }, { lambd: floatAttribute(0.5), bias: floatAttribute(0.2) }),
  ...['Floor', 'Ceil', 'Round', 'Sign'].map(step),
  {
    rule: 'Hardmax',
    what: 'beside x²',
    shapes: [[2, 3]],
    of: (x) => op.add(make('Hardmax', [x], x.shape), op.mul(x, x)),
    distinct: true,
  },
  { rule: 'Sum', shapes: [[2, 3], [3], []], of: (...x) => make('Sum', x, [2, 3]) },
  {
    rule: 'Mean',
    shapes: [
      [2, 3],
      [2, 1],
    ],
    of: (...x) => make('Mean', x, [2, 3]),
  },

  // looked up and written by indices
  ...[0, 1, -1].map((axis) => ({
    rule: 'Gather',
    what: `axis ${axis}, one index twice`,
    shapes: [[3, 4, 2]],
    of: (x: Value) => {
      const at = axis < 0 ? axis + 3 : axis;
      const y = [3, 4, 2].flatMap((size, i) => (i === at ? [2, 2] : [size]));
      return make('Gather', [x, indices([1, 0, 1, -1], [2, 2])], y, 'float', { axis: int(axis) });
    },
  })),
  {
    rule: 'GatherElements',
    shapes: [[3, 2]],
    of: (x) => make('GatherElements', [x, indices([0, 2, 2, 2], [2, 2])], [2, 2], 'float', { axis: int(0) }),
  },
  {
    rule: 'GatherND',
    shapes: [[3, 2, 2]],
    of: (x) => make('GatherND', [x, indices([0, 1, 2, 0, 0, 1], [3, 2])], [3, 2], 'float'),
  },
  {
    rule: 'GatherND',
    what: 'within batches',
    shapes: [[2, 3, 2]],
    of: (x) => make('GatherND', [x, indices([1, 2], [2, 1])], [2, 2], 'float', { batch_dims: int(1) }),
  },
  ...(['none', 'add'] as const).flatMap((reduction): MoreCase[] => [
    {
      rule: 'ScatterElements',
      what: reduction,
      shapes: [
        [3, 3],
        [2, 2],
      ],
      of: (x, updates) =>
        make('ScatterElements', [x, indices([0, 2, 1, 0], [2, 2]), updates], [3, 3], 'float', {
          axis: int(1),
          reduction: word(reduction),
        }),
    },
    {
      rule: 'ScatterND',
      what: reduction,
      shapes: [
        [4, 2],
        [2, 2],
      ],
      of: (x, updates) =>
        make('ScatterND', [x, indices([2, 0], [2, 1]), updates], [4, 2], 'float', { reduction: word(reduction) }),
    },
  ]),
  {
    rule: 'TopK',
    shapes: [[2, 5]],
    of: (x) =>
      operation({ opType: 'TopK', inputs: [x, ints([2])], attributes: new Map([['axis', int(1)]]) }, [
        { dataType: 'float', shape: [2, 2] },
        { dataType: 'int64', shape: [2, 2] },
      ])[0]!,
    distinct: true,
  },

  // repeated, added up, rearranged
  { rule: 'Tile', shapes: [[2, 3]], of: (x) => make('Tile', [x, ints([3, 2])], [6, 6]) },
  ...[0, 1].flatMap((reverse) =>
    [0, 1].map((exclusive): MoreCase => ({
      rule: 'CumSum',
      what: `reverse ${reverse}, exclusive ${exclusive}`,
      shapes: [[2, 4]],
      of: (x) =>
        make('CumSum', [x, constant([1], [], 'int64')], [2, 4], 'float', {
          reverse: int(reverse),
          exclusive: int(exclusive),
        }),
    })),
  ),
  {
    rule: 'SpaceToDepth',
    shapes: [[1, 2, 4, 4]],
    of: (x) => make('SpaceToDepth', [x], [1, 8, 2, 2], 'float', { blocksize: int(2) }),
  },
  ...['DCR', 'CRD'].map((mode) => ({
    rule: 'DepthToSpace',
    what: mode,
    shapes: [[1, 8, 2, 3]],
    of: (x: Value) => make('DepthToSpace', [x], [1, 2, 4, 6], 'float', { blocksize: int(2), mode: word(mode) }),
  })),
  {
    rule: 'Pad',
    what: 'of one axis',
    shapes: [[2, 3]],
    of: (x) => make('Pad', [x, ints([1, 2]), scalar(0.5), ints([-1])], [2, 6]),
  },
  { rule: 'ReduceL1', shapes: [[2, 3]], of: (x) => make('ReduceL1', [x, ints([1])], [2, 1]), domain: { away: 0.05 } },
  {
    rule: 'ReduceLogSum',
    shapes: [[2, 3]],
    of: (x) => make('ReduceLogSum', [x, ints([1])], [2], 'float', { keepdims: int(0) }),
    domain: { low: 0.3, high: 2 },
  },

  // contractions
  einsum(
    'ij,jk->ik',
    [
      [2, 3],
      [3, 4],
    ],
    [2, 4],
  ),
  einsum(
    'bij,bkj->bik',
    [
      [2, 2, 3],
      [2, 4, 3],
    ],
    [2, 2, 4],
  ),
  einsum(
    '...ij,jk',
    [
      [2, 2, 3],
      [3, 4],
    ],
    [2, 2, 4],
  ),
  einsum('ij->j', [[2, 3]], [3]),
  einsum('i,j->ij', [[2], [3]], [2, 3]),
  einsum(
    'ij,kl->k',
    [
      [2, 3],
      [4, 2],
    ],
    [4],
  ),
  einsum('i,i,i->', [[3], [3], [3]], []),
  convTranspose('plain', [1, 2, 3, 3], [2, 3, 2, 2], [1, 3, 4, 4]),
  convTranspose('strides, pads and what is left over', [2, 2, 3, 3], [2, 1, 3, 3], [2, 1, 6, 6], {
    strides: intList([2, 2]),
    pads: intList([1, 1, 1, 1]),
    output_padding: intList([1, 1]),
  }),
  convTranspose('groups and dilations', [1, 4, 3, 3], [4, 1, 2, 2], [1, 2, 5, 5], {
    group: int(2),
    dilations: intList([2, 2]),
  }),
  convTranspose('one axis', [1, 2, 4], [2, 2, 3], [1, 2, 9], { strides: intList([2]) }),
  convTranspose('three axes', [1, 1, 2, 2, 2], [1, 2, 2, 2, 2], [1, 2, 3, 3, 3]),

  // enlarged and shrunk
  resize('nearest, twice', [1, 1, 2, 3], [1, 1, 4, 6], {
    mode: word('nearest'),
    coordinate_transformation_mode: word('asymmetric'),
    nearest_mode: word('floor'),
  }),
  resize('nearest, by 1.5', [1, 2, 2, 4], [1, 2, 3, 6], { mode: word('nearest') }, [1, 1, 1.5, 1.5]),
  resize('linear, half pixels', [1, 1, 3, 4], [1, 1, 5, 3], { mode: word('linear') }),
  resize('linear, corners aligned', [1, 2, 3, 3], [1, 2, 6, 5], {
    mode: word('linear'),
    coordinate_transformation_mode: word('align_corners'),
  }),
  resize(
    'linear, asymmetric',
    [1, 1, 4, 4],
    [1, 1, 8, 8],
    { mode: word('linear'), coordinate_transformation_mode: word('asymmetric') },
    [1, 1, 2, 2],
  ),
];
