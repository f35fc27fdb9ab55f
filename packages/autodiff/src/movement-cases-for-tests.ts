import { floatTensor, int64Tensor, intTensor } from '@modelmill/onnx';
import type { NodeCase } from './node-gradients-for-tests.js';

const list = (...values: number[]) => int64Tensor('', [values.length], values);
const at = (dims: readonly number[], ...values: number[]) => int64Tensor('', dims, values);
const one = (value: number) => int64Tensor('', [], [value]);

export const movementCases: readonly NodeCase[] = [
  { op: 'Tile', x: [[2, 1, 3], list(2, 3, 1)] },
  { op: 'CumSum', x: [[2, 3, 2], one(1)] },
  { op: 'CumSum', what: 'exclusive', x: [[2, 4], one(-1)], attributes: { exclusive: 1 } },
  { op: 'CumSum', what: 'reverse', x: [[2, 4], one(1)], attributes: { reverse: 1 } },
  { op: 'CumSum', what: 'exclusive and reverse', x: [[4, 2], one(0)], attributes: { exclusive: 1, reverse: 1 } },
  { op: 'Gather', what: 'of the first axis', x: [[4, 3], at([2, 2], 2, -4, 2, 3)] },
  { op: 'Gather', what: 'of a middle axis', x: [[2, 4, 3], at([2, 2], 2, -1, 2, 0)], attributes: { axis: 1 } },
  { op: 'Gather', what: 'of the last axis at one place', x: [[2, 4], one(1)], attributes: { axis: -1 } },
  { op: 'Gather', what: 'by int32', x: [[4, 3], intTensor('', 'int32', [3], [1, 1, -1])] },
  { op: 'GatherElements', x: [[3, 4], at([2, 4], 0, 2, 2, -1, 0, 1, 2, 1)], attributes: { axis: 0 } },
  { op: 'GatherElements', what: 'of the last axis', x: [[2, 3], at([2, 2], 2, 2, 0, -3)], attributes: { axis: -1 } },
  { op: 'GatherND', x: [[3, 4], at([2, 2], 0, 1, 0, 1)] },
  { op: 'GatherND', what: 'of rows', x: [[3, 4], at([3, 1], 2, 0, 2)] },
  { op: 'GatherND', what: 'of batches', x: [[2, 3, 4], at([2, 2, 1], 2, 0, 1, 1)], attributes: { batch_dims: 1 } },
  {
    op: 'GatherND',
    what: 'of two batch axes',
    x: [[2, 2, 3], at([2, 2, 1], 2, -3, 1, 1)],
    attributes: { batch_dims: 2 },
  },
  { op: 'ScatterElements', x: [[3, 3], at([2, 2], 0, 2, 1, 0), [2, 2]], attributes: { axis: 0 } },
  {
    op: 'ScatterElements',
    what: 'that adds',
    x: [[2, 3], at([2, 3], 0, 0, 2, -1, 1, 2), [2, 3]],
    attributes: { axis: 1, reduction: 'add' },
  },
  { op: 'ScatterND', x: [[3, 4], at([2, 1], 2, 0), [2, 4]] },
  {
    op: 'ScatterND',
    what: 'that adds',
    x: [[3, 4], at([3, 2], 2, 0, 2, 0, -3, 1), [3]],
    attributes: { reduction: 'add' },
  },
  { op: 'TopK', x: [[2, 5], list(3)], outputs: 2, distinct: true },
  {
    op: 'TopK',
    what: 'the smallest of the first axis',
    x: [[4, 2], list(2)],
    attributes: { axis: 0, largest: 0 },
    outputs: 2,
    distinct: true,
  },
  { op: 'ReverseSequence', x: [[4, 3], list(3, 1, 4)], attributes: { time_axis: 0, batch_axis: 1 } },
  { op: 'DepthToSpace', x: [[2, 8, 2, 3]], attributes: { blocksize: 2 } },
  { op: 'DepthToSpace', what: 'column first', x: [[1, 8, 2, 3]], attributes: { blocksize: 2, mode: 'CRD' } },
  { op: 'SpaceToDepth', x: [[2, 2, 4, 6]], attributes: { blocksize: 2 } },
  { op: 'Pad', what: 'with a number', x: [[2, 3], list(1, 0, 0, 2), floatTensor('', [], [0.5])] },
  { op: 'Pad', what: 'that crops', x: [[3, 4], list(-1, 1, 0, -2)] },
  { op: 'Pad', what: 'of one axis', x: [[2, 3], list(1, 2), undefined, list(-1)] },
  { op: 'Pad', what: 'by the edge', x: [[2, 3], list(1, 0, 2, 2)], attributes: { mode: 'edge' } },
  { op: 'Pad', what: 'by reflection', x: [[3, 4], list(1, 2, 2, 3)], attributes: { mode: 'reflect' } },
  { op: 'Pad', what: 'around', opset: 19, x: [[3, 4], list(1, 2, 2, 3)], attributes: { mode: 'wrap' } },
  { op: 'Slice', what: 'backwards', x: [[4, 5], list(-1, 3), list(-100, 0), list(0, 1), list(-1, -2)] },
  { op: 'Slice', what: 'backwards from beyond the end', x: [[2, 5], list(100), list(-6), list(-1), list(-3)] },
  { op: 'Slice', what: 'by steps', x: [[2, 7], list(-6), list(2 ** 40), list(1), list(3)] },
  { op: 'Sum', x: [[2, 3], [3], [2, 1], { same: 0 }] },
  { op: 'Sum', what: 'of a scalar', x: [[], [2, 3]] },
  { op: 'Mean', x: [[1, 3], [2, 1], { same: 0 }] },
  ...[
    einsum('ij,jk->ik', [2, 3], [3, 4]),
    einsum('bhid,bhjd->bhij', [2, 2, 3, 2], [2, 2, 2, 2]),
    einsum('ij,jk', [2, 3], [3, 2]),
    einsum('ij->j', [2, 3]),
    einsum('ij->', [2, 3]),
    einsum('i,j->ij', [2], [3]),
    einsum('ij,kj->i', [2, 3], [4, 3]),
    einsum('...ij,...jk->...ik', [2, 1, 2, 3], [1, 3, 3, 2]),
    einsum('bi,ij,bj->b', [2, 3], [3, 2], [2, 2]),
    einsum('...i->...', [2, 1, 3]),
  ],
  { op: 'Einsum', what: 'of one operand twice', x: [[2, 3], { same: 0 }], attributes: { equation: 'ij,kj->ik' } },
];

function einsum(equation: string, ...x: readonly (readonly number[])[]): NodeCase {
  return { op: 'Einsum', what: equation, x, attributes: { equation } };
}
