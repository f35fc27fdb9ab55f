import { floatAttribute, floatTensor, int64Tensor, intTensor } from '@modelmill/onnx';
import type { Attribute } from '@modelmill/onnx';
import type { NodeCase } from './node-gradients-for-tests.js';

const axes = (...values: number[]) => int64Tensor('', [values.length], values);
const bools = (dims: readonly number[], ...values: number[]) => ({
  ...intTensor('', 'uint8', dims, values),
  dataType: 'bool' as const,
});
const of = (
  op: string,
  domain: NodeCase['domain'] = {},
  attributes: Record<string, Attribute | number> = {},
): NodeCase => ({ op, x: [[2, 4]], domain, attributes });
const kinked = { low: -2, high: 2, away: 0.05 };
const inner = { low: -0.9, high: 0.9 };
const reduction = (op: string): NodeCase[] => [
  { op, what: 'kept', x: [[2, 1, 3], axes(-1, 1)], domain: { low: 0.3, high: 2 } },
  { op, what: 'dropped', x: [[2, 3, 2], axes(1)], attributes: { keepdims: 0 }, domain: { low: 0.3, high: 2 } },
  { op, what: 'of all', x: [[2, 3]], attributes: { keepdims: 0 }, domain: { low: 0.3, high: 2 } },
  { op, what: 'of all by no axes', x: [[2, 3], axes()], attributes: { keepdims: 0 }, domain: { low: 0.3, high: 2 } },
];

export const elementWiseCases: readonly NodeCase[] = [
  of('Celu', kinked, { alpha: floatAttribute(1.5) }),
  of('ThresholdedRelu', { low: 0, high: 0.9 }, { alpha: floatAttribute(0.4) }),
  of('Shrink', kinked, { lambd: floatAttribute(0.6), bias: floatAttribute(0.2) }),
  of('Tan', inner),
  of('Asin', inner),
  of('Acos', inner),
  of('Atan', kinked),
  of('Sinh'),
  of('Cosh'),
  of('Asinh', kinked),
  of('Acosh', { low: 1.2, high: 3 }),
  of('Atanh', inner),
  ...['Floor', 'Ceil', 'Round', 'Sign'].map((op) => ({ ...of(op, { low: 0.1, high: 0.4 }), flat: true })),
  { op: 'Mod', x: [[2, 3], [3]], attributes: { fmod: 1 }, domain: { low: 0.2, high: 3 } },
  {
    op: 'Mod',
    what: 'of negative numbers',
    x: [
      [1, 3],
      [2, 1],
    ],
    attributes: { fmod: 1 },
    domain: { low: -3, high: -0.2 },
  },
  { op: 'CastLike', x: [[2, 3], floatTensor('', [], [0])] },
  { op: 'Gelu', opset: 20, x: [[2, 3]] },
  { op: 'Gelu', what: 'by tanh', opset: 20, x: [[2, 3]], attributes: { approximate: 'tanh' } },
  {
    op: 'Pow',
    what: 'of a negative base by whole numbers',
    x: [[2, 3], axes(2, 3, 1)],
    domain: { low: -2, high: -0.5 },
  },
  { op: 'Pow', what: 'of an operand by itself', x: [[2, 3], { same: 0 }], domain: { low: 0.3, high: 2 } },
  { op: 'Add', what: 'of a scalar', x: [[], [2, 3]] },
  { op: 'Sub', what: 'by itself', x: [[2, 3], { same: 0 }], flat: true },
  {
    op: 'Div',
    what: 'of axes of one',
    x: [
      [1, 3],
      [2, 1, 1],
    ],
    domain: { low: 0.3, high: 2 },
  },
  {
    op: 'PRelu',
    what: 'with a slope per channel',
    x: [
      [2, 3, 2],
      [3, 1],
    ],
    domain: kinked,
  },
  { op: 'Min', what: 'of four that broadcast', x: [[1, 3], [2, 1], [3], [2, 2, 3]], distinct: true },
  { op: 'Max', what: 'of a scalar and others', x: [[], [2, 1], [1, 3]], distinct: true },
  {
    op: 'Max',
    what: 'with a tie',
    x: [
      [2, 1],
      [2, 2],
    ],
    values: [
      [1, 2],
      [1, 0, 3, 2],
    ],
  },
  { op: 'Max', what: 'of an operand and itself', x: [[2, 3], { same: 0 }] },
  // the condition first in the file, the operands first here
  { op: 'Where', what: 'of a wide condition', x: [bools([2, 3], 1, 0, 0, 1, 1, 0), [1, 3], [2, 1]] },
  { op: 'Where', what: 'of a narrow condition', x: [bools([2, 1], 1, 0), [2, 2, 3], [3]] },
  {
    op: 'Clip',
    what: 'by both ends',
    x: [[3, 4], floatTensor('', [], [-0.42]), floatTensor('', [], [0.3])],
    distinct: true,
  },
  ...['ReduceL1', 'ReduceL2', 'ReduceProd', 'ReduceLogSum', 'ReduceMax', 'ReduceLogSumExp'].flatMap(reduction),
  ...['ReduceSum', 'ReduceMean', 'ReduceSumSquare', 'ReduceMin'].flatMap((op) => reduction(op).slice(2)),
  { op: 'ReduceSum', what: 'of no axes at all', x: [[2, 3], axes()], attributes: { noop_with_empty_axes: 1 } },
  { op: 'ReduceProd', what: 'with zeros', x: [[3, 3], axes(1)], values: [[0, 2, 3, 0, 0, 4, 2, 3, 4]] },
  { op: 'ReduceMax', what: 'with a tie', x: [[2, 3], axes(1)], values: [[1, 1, 0, -2, -1, -1]] },
];
