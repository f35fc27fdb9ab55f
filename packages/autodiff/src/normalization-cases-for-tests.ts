import { floatAttribute, floatTensor, int64Tensor, intTensor } from '@modelmill/onnx';
import type { NodeCase } from './node-gradients-for-tests.js';

type Attributes = NonNullable<NodeCase['attributes']>;
const epsilon = floatAttribute(0.01);
const scales = (...values: number[]) => floatTensor('', [values.length], values);
const sizes = (...values: number[]) => int64Tensor('', [values.length], values);
const resize = (
  what: string,
  x: number[],
  by: NodeCase['x'],
  mode: string,
  coordinates: string,
  more: Attributes = {},
): NodeCase => ({
  op: 'Resize',
  what: `${mode}, ${coordinates}, ${what}`,
  x: [x, ...by],
  attributes: { mode, coordinate_transformation_mode: coordinates, ...more },
});
const attention = (what: string, x: NodeCase['x'], attributes: Attributes = {}): NodeCase => ({
  op: 'Attention',
  what,
  opset: 23,
  x,
  attributes,
});
const rotary = (what: string, x: NodeCase['x'], attributes: Attributes = {}): NodeCase => ({
  op: 'RotaryEmbedding',
  what,
  opset: 23,
  x,
  attributes,
});
const angles = (...dims: number[]) => {
  const count = dims.reduce((all, length) => all * length, 1);
  return floatTensor(
    '',
    dims,
    Array.from({ length: count }, (_, i) => Math.cos(i + 1)),
  );
};
const places = int64Tensor('', [2, 3], [0, 2, 1, 3, 4, 0]);
const bools = { ...intTensor('', 'uint8', [2, 3], [1, 0, 1, 1, 1, 0]), dataType: 'bool' as const };

export const normalizationCases: readonly NodeCase[] = [
  {
    op: 'LayerNormalization',
    x: [
      [2, 3, 4],
      [3, 4],
      [3, 4],
    ],
    attributes: { axis: 1, epsilon },
  },
  ...['mean', 'inverse deviation'].map((what, i) => ({
    op: 'LayerNormalization',
    what: `of which the ${what} is used`,
    x: [[2, 3, 4], [4]],
    outputs: 3,
    of: i + 1,
  })),
  { op: 'InstanceNormalization', x: [[2, 2, 3, 2], [2], [2]], attributes: { epsilon } },
  { op: 'GroupNormalization', what: 'of set 18', x: [[2, 6, 3], [3], [3]], attributes: { num_groups: 3, epsilon } },
  {
    op: 'GroupNormalization',
    what: 'of set 21',
    opset: 21,
    x: [[2, 6, 2, 2], [6], [6]],
    attributes: { num_groups: 2, epsilon },
  },
  {
    op: 'GroupNormalization',
    what: 'of set 21, a group per channel',
    opset: 21,
    x: [[2, 3, 4], [3], [3]],
    attributes: { num_groups: 3 },
  },
  { op: 'RMSNormalization', opset: 23, x: [[2, 3, 4], [4]], attributes: { epsilon } },
  {
    op: 'RMSNormalization',
    what: 'of two axes',
    opset: 23,
    x: [
      [2, 3, 4],
      [3, 4],
    ],
    attributes: { axis: 1, epsilon },
  },
  { op: 'MeanVarianceNormalization', x: [[2, 2, 3, 2]] },
  { op: 'MeanVarianceNormalization', what: 'of other axes', x: [[2, 3, 4]], attributes: { axes: [1, -1] } },
  { op: 'LRN', x: [[2, 5, 2, 2]], attributes: { size: 3, alpha: floatAttribute(0.9), beta: floatAttribute(0.6) } },
  { op: 'LpNormalization', x: [[2, 3, 4]], attributes: { axis: 1 } },
  { op: 'LpNormalization', what: 'of power 1', x: [[2, 4]], attributes: { p: 1 }, domain: { low: 0.2, high: 1 } },
  resize('up', [1, 1, 3, 4], [undefined, scales(1, 1, 2, 1.5)], 'cubic', 'half_pixel'),
  resize('down', [1, 1, 5, 6], [undefined, undefined, sizes(1, 1, 3, 4)], 'cubic', 'align_corners', {
    cubic_coeff_a: floatAttribute(-0.5),
  }),
  resize('up, nothing from outside', [1, 1, 3, 4], [undefined, scales(1, 1, 2, 2)], 'cubic', 'half_pixel', {
    exclude_outside: 1,
  }),
  {
    ...attention(
      'with keys of earlier calls',
      [[2, 2, 2, 3], [2, 1, 2, 3], [2, 1, 2, 2], undefined, [2, 1, 3, 3], [2, 1, 3, 2]],
      {
        is_causal: 1,
      },
    ),
    outputs: 3,
  },
  resize('up', [1, 2, 2, 3], [undefined, scales(1, 1, 2, 3)], 'nearest', 'asymmetric', { nearest_mode: 'floor' }),
  resize('down', [1, 1, 5, 6], [undefined, undefined, sizes(1, 1, 3, 2)], 'nearest', 'half_pixel'),
  resize('up by a half', [1, 1, 4, 2], [undefined, scales(1, 1, 1.5, 1.5)], 'nearest', 'half_pixel', {
    nearest_mode: 'ceil',
  }),
  resize('up', [1, 2, 3, 4], [undefined, undefined, sizes(1, 2, 5, 7)], 'linear', 'half_pixel'),
  resize('up', [1, 2, 3, 4], [undefined, undefined, sizes(1, 2, 5, 7)], 'linear', 'align_corners'),
  resize('up', [2, 1, 3, 2], [undefined, scales(1, 1, 2, 2)], 'linear', 'asymmetric'),
  resize('down', [1, 1, 6, 4], [undefined, undefined, sizes(1, 1, 4, 3)], 'linear', 'pytorch_half_pixel'),
  resize('one axis', [1, 2, 4], [undefined, scales(1, 1, 2)], 'linear', 'half_pixel'),
  resize('three axes', [1, 1, 2, 3, 2], [undefined, scales(1, 1, 2, 2, 2)], 'linear', 'align_corners'),
  resize('named axes', [1, 1, 2, 3], [undefined, scales(3, 2)], 'nearest', 'asymmetric', { axes: [3, 2] }),
  attention('apart', [
    [1, 2, 3, 4],
    [1, 2, 5, 4],
    [1, 2, 5, 3],
  ]),
  attention(
    'beside each other',
    [
      [2, 3, 4],
      [2, 3, 4],
      [2, 3, 6],
    ],
    { q_num_heads: 2, kv_num_heads: 2 },
  ),
  attention(
    'causal, with shared keys',
    [
      [1, 3, 8],
      [1, 3, 4],
      [1, 3, 4],
    ],
    { q_num_heads: 4, kv_num_heads: 2, is_causal: 1 },
  ),
  attention(
    'causal, with more keys than queries',
    [
      [1, 1, 2, 3],
      [1, 1, 4, 3],
      [1, 1, 4, 2],
    ],
    { is_causal: 1 },
  ),
  attention('with conditions', [[1, 2, 2, 3], [1, 2, 3, 3], [1, 2, 3, 2], bools], { scale: floatAttribute(0.7) }),
  attention(
    'with a mask and a cap',
    [
      [1, 1, 2, 3],
      [1, 1, 3, 3],
      [1, 1, 3, 2],
      [2, 3],
    ],
    { softcap: floatAttribute(2) },
  ),
  rotary('by halves', [[1, 2, 3, 4], angles(1, 3, 2), angles(1, 3, 2)]),
  rotary('side by side', [[1, 2, 3, 4], angles(1, 3, 2), angles(1, 3, 2)], { interleaved: 1 }),
  rotary('by positions, in part', [[2, 3, 12], angles(5, 2), angles(5, 2), places], {
    num_heads: 2,
    rotary_embedding_dim: 4,
  }),
  attention('of one operand', [[1, 3, 4], { same: 0 }, { same: 0 }], { q_num_heads: 2, kv_num_heads: 2 }),
];
