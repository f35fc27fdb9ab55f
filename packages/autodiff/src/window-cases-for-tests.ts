import { int64Tensor } from '@modelmill/onnx';
import type { NodeCase } from './node-gradients-for-tests.js';

type Attributes = NonNullable<NodeCase['attributes']>;
const conv = (
  op: string,
  what: string,
  x: number[],
  w: number[],
  outputs: number,
  attributes: Attributes = {},
): NodeCase => ({
  op,
  what,
  x: [x, w, [outputs]],
  attributes,
});
const transposed = (what: string, x: number[], w: number[], attributes: Attributes = {}): NodeCase =>
  conv(
    'ConvTranspose',
    what,
    x,
    w,
    w[1]! * (typeof attributes['group'] === 'number' ? attributes['group'] : 1),
    attributes,
  );
const forward = (what: string, x: number[], w: number[], attributes: Attributes = {}): NodeCase =>
  conv('Conv', what, x, w, w[0]!, attributes);
const pool = (op: string, what: string, x: number[], attributes: Attributes): NodeCase => ({
  op,
  what,
  x: [x],
  attributes,
  distinct: true,
});

export const windowCases: readonly NodeCase[] = [
  transposed('plain', [2, 2, 3, 2], [2, 3, 2, 3]),
  transposed('strides and output padding', [1, 2, 3, 2], [2, 2, 3, 2], {
    strides: [2, 3],
    pads: [1, 0, 0, 1],
    output_padding: [1, 2],
  }),
  transposed('dilated', [1, 2, 3, 3], [2, 2, 2, 3], { dilations: [2, 1], pads: [1, 1, 1, 0] }),
  transposed('two groups', [2, 4, 2, 3], [4, 3, 2, 2], { group: 2, strides: [2, 1] }),
  transposed('depthwise', [1, 3, 3, 2], [3, 1, 3, 2], { group: 3, strides: [2, 2] }),
  transposed('one axis', [2, 2, 4], [2, 3, 3], { strides: [2], pads: [1, 1] }),
  transposed('three axes', [1, 2, 2, 3, 2], [2, 1, 2, 2, 2], { strides: [2, 1, 1] }),
  transposed('auto_pad SAME_UPPER', [1, 2, 3, 3], [2, 2, 2, 2], { auto_pad: 'SAME_UPPER' }),
  transposed('auto_pad SAME_LOWER', [1, 2, 3, 3], [2, 2, 2, 2], { auto_pad: 'SAME_LOWER' }),
  transposed('auto_pad VALID', [1, 2, 2, 3], [2, 2, 2, 2], { auto_pad: 'VALID', strides: [2, 2] }),
  transposed('a stated output', [1, 2, 3, 3], [2, 2, 3, 3], { output_shape: [6, 5], strides: [2, 2] }),
  forward('one axis, dilated', [2, 2, 8], [3, 2, 3], { dilations: [2], pads: [1, 2] }),
  forward('one axis, depthwise with stride', [2, 3, 7], [3, 1, 3], { group: 3, strides: [2] }),
  forward('three axes', [1, 2, 3, 4, 3], [2, 2, 2, 2, 2], { pads: [1, 0, 0, 0, 1, 1] }),
  forward('three axes, strides and groups', [1, 4, 3, 3, 4], [2, 2, 2, 2, 2], { group: 2, strides: [1, 2, 2] }),
  forward('auto_pad SAME_UPPER', [1, 2, 5, 4], [2, 2, 2, 3], { auto_pad: 'SAME_UPPER', strides: [2, 1] }),
  forward('auto_pad SAME_LOWER', [1, 2, 5, 4], [2, 2, 2, 2], { auto_pad: 'SAME_LOWER' }),
  forward('auto_pad VALID', [1, 2, 5, 4], [2, 2, 2, 3], { auto_pad: 'VALID', strides: [2, 1] }),
  forward('many examples and channels, strides and dilations', [16, 16, 4], [1, 16, 2], {
    strides: [2],
    dilations: [2],
    pads: [1, 0],
  }),
  {
    op: 'MaxUnpool',
    x: [[1, 1, 2, 2], int64Tensor('', [1, 1, 2, 2], [1, 2, 12, 11]), int64Tensor('', [4], [1, 1, 4, 4])],
    attributes: { kernel_shape: [2, 2], strides: [2, 2] },
  },
  pool('LpPool', 'side by side', [1, 2, 4, 4], { kernel_shape: [2, 2], strides: [2, 2] }),
  pool('LpPool', 'overlapping, of power 3', [1, 2, 4, 5], { kernel_shape: [2, 3], p: 3, pads: [0, 1, 0, 1] }),
  pool('LpPool', 'of power 1, with a rest', [1, 1, 5], { kernel_shape: [2], strides: [2], p: 1 }),
  pool('GlobalLpPool', 'of power 2', [2, 2, 3, 2], {}),
  pool('GlobalLpPool', 'of power 3', [2, 2, 3], { p: 3 }),
  { op: 'GlobalMaxPool', what: 'with a tie', x: [[1, 2, 3]], values: [[2, 2, 1, 0, -1, 0]] },
  pool('AveragePool', 'sizes rounded up', [1, 2, 5, 6], { kernel_shape: [2, 3], strides: [2, 2], ceil_mode: 1 }),
  pool('AveragePool', 'sizes rounded up, padding counted', [1, 1, 6, 5], {
    kernel_shape: [3, 2],
    strides: [2, 2],
    pads: [1, 1, 1, 0],
    ceil_mode: 1,
    count_include_pad: 1,
  }),
  {
    ...pool('AveragePool', 'dilated', [1, 2, 6, 5], { kernel_shape: [2, 2], dilations: [2, 3], pads: [1, 0, 1, 1] }),
    opset: 19,
  },
  pool('AveragePool', 'of three axes', [1, 1, 4, 3, 4], { kernel_shape: [2, 2, 3] }),
  pool('MaxPool', 'sizes rounded up', [1, 2, 5, 7], { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 }),
  {
    ...pool('MaxPool', 'with positions by columns', [1, 1, 4, 6], {
      kernel_shape: [2, 2],
      strides: [2, 2],
      storage_order: 1,
    }),
    outputs: 2,
  },
  pool('MaxPool', 'of one axis', [2, 2, 7], { kernel_shape: [3], strides: [2], dilations: [2] }),
  pool('MaxPool', 'of three axes, SAME_UPPER', [1, 1, 3, 4, 3], { kernel_shape: [2, 2, 2], auto_pad: 'SAME_UPPER' }),
];
