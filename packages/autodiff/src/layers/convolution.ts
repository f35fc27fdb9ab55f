import { attribute } from '@modelmill/onnx';
import { LayerError } from '../errors.js';
import { constantly, scaled } from '../initial-weights.js';
import type { Activation, LayerOf } from '../layer-spec.js';
import { size } from '../value.js';
import type { Shape } from '../value.js';
import { samePadding } from '../windows.js';
import { activate, add, following, image, listed, signal, weight } from './building.js';
import type { Building, Place } from './building.js';

/** One number per spatial axis. */
interface Convolution {
  readonly filters: number;
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  readonly padding: 'same' | 'valid' | 'causal';
  readonly groups: number;
  readonly bias?: boolean;
  readonly activation?: Activation;
}

export function conv2d(to: Building, layer: LayerOf<'conv2d'>, at: Place): void {
  convolution(to, { ...layer, dilation: [1, 1] }, image(to, at), at);
}

export function conv1d(to: Building, layer: LayerOf<'conv1d'>, at: Place): void {
  const { kernel, stride, dilation } = layer;
  convolution(to, { ...layer, kernel: [kernel], stride: [stride], dilation: [dilation] }, signal(to, at), at);
}

function convolution(to: Building, layer: Convolution, [channels = 0, ...spatial]: Shape, at: Place): void {
  const { filters, kernel, stride, dilation, groups, activation, bias = true } = layer;
  if (channels % groups !== 0 || filters % groups !== 0) {
    throw new LayerError(
      `${at.shown} has ${groups} groups, wants a divisor of its ${channels} input and ${filters} output channels`,
    );
  }
  const pads = spatial.map((length, i) => paddingOf(layer, length, i));
  const outputs = spatial.map((length, i) =>
    windowCount(length + pads[i]![0] + pads[i]![1], dilation[i]! * (kernel[i]! - 1) + 1, stride[i]!, kernel, at),
  );
  const area = size(kernel);
  const start = scaled((channels / groups) * area, (filters / groups) * area, activation ?? following(at));
  const weights = weight(to, `${at.name}.weight`, [filters, channels / groups, ...kernel], start);
  const offset = bias ? [weight(to, `${at.name}.bias`, [filters], constantly(0))] : [];
  add(to, 'Conv', [weights, ...offset], at.name, [filters, ...outputs], {
    kernel_shape: attribute(kernel),
    strides: attribute(stride),
    pads: attribute([...pads.map(([before]) => before), ...pads.map(([, after]) => after)]),
    ...(dilation.every((one) => one === 1) ? {} : { dilations: attribute(dilation) }),
    ...(groups === 1 ? {} : { group: attribute(groups) }),
  });
  activate(to, activation, `${at.name}.${activation}`);
}

function paddingOf(
  { padding, kernel, stride, dilation }: Convolution,
  length: number,
  axis: number,
): readonly [before: number, after: number] {
  switch (padding) {
    case 'same':
      return samePadding(length, kernel[axis]!, stride[axis]!, dilation[axis]);
    case 'causal':
      return [dilation[axis]! * (kernel[axis]! - 1), 0];
    case 'valid':
      return [0, 0];
  }
}

/** How many windows of this reach there are; the last one must fit. */
export function windowCount(length: number, reach: number, stride: number, kernel: Shape, at: Place): number {
  if (reach > length) {
    throw new LayerError(`${at.shown} has a kernel of ${listed(kernel)}, wants at most the ${length} there are`);
  }
  return Math.floor((length - reach) / stride) + 1;
}
