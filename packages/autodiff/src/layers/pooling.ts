import { attribute } from '@modelmill/onnx';
import { LayerError } from '../errors.js';
import type { LayerOf } from '../layer-spec.js';
import type { Shape } from '../value.js';
import { samePadding } from '../windows.js';
import { add, constantInts, image, listed, signal, text } from './building.js';
import type { Building, Place } from './building.js';
import { windowCount } from './convolution.js';

type Pool = 'MaxPool' | 'AveragePool';

/** Pools images by an operator. */
export const pool2d =
  (opType: Pool) =>
  (to: Building, { kernel, stride, padding = 'valid' }: Omit<LayerOf<'max_pool2d'>, 'kind'>, at: Place): void =>
    pool(to, opType, { kernel, stride, padding }, image(to, at), at);

/** Pools signals by an operator. */
export const pool1d =
  (opType: Pool) =>
  (to: Building, { kernel, stride }: Omit<LayerOf<'max_pool1d'>, 'kind'>, at: Place): void =>
    pool(to, opType, { kernel: [kernel], stride: [stride], padding: 'valid' }, signal(to, at), at);

interface Windows {
  readonly kernel: Shape;
  readonly stride: Shape;
  readonly padding: 'same' | 'valid';
}

function pool(to: Building, opType: Pool, windows: Windows, [channels = 0, ...spatial]: Shape, at: Place): void {
  const { kernel, stride, padding } = windows;
  const pads = spatial.map((length, i) =>
    padding === 'same' ? samePadding(length, kernel[i]!, stride[i]!) : ([0, 0] as const),
  );
  const outputs = spatial.map((length, i) =>
    windowCount(length + pads[i]![0] + pads[i]![1], kernel[i]!, stride[i]!, kernel, at),
  );
  add(to, opType, [], at.name, [channels, ...outputs], {
    kernel_shape: attribute(kernel),
    strides: attribute(stride),
    ...(padding === 'same'
      ? { pads: attribute([...pads.map(([before]) => before), ...pads.map(([, after]) => after)]) }
      : {}),
  });
}

/** One number per channel, by an operator that pools all places. */
export const globalPool =
  (opType: 'GlobalAveragePool' | 'GlobalMaxPool') =>
  (to: Building, _: object, at: Place): void => {
    const [channels = 0, ...spatial] = to.shape;
    if (spatial.length === 0 || spatial.length > 2) {
      throw new LayerError(
        `${at.shown} wants [channels, height, width] or [channels, length] per example, got ${listed(to.shape)}`,
      );
    }
    add(to, opType, [], `${at.name}.pooled`, [channels, ...spatial.map(() => 1)]);
    add(to, 'Flatten', [], at.name, [channels]);
  };

export function poolTime(to: Building, { how }: LayerOf<'pool_time'>, at: Place): void {
  const [, width] = text(to, at);
  const axis = constantInts(to, 'time_axis', [1]);
  switch (how) {
    case 'mean':
      return add(to, 'ReduceMean', [axis], at.name, [width], { keepdims: attribute(0) });
    case 'max':
      return add(to, 'ReduceMax', [axis], at.name, [width], { keepdims: attribute(0) });
    case 'last': {
      const from = constantInts(to, 'last_place', [-1]);
      const end = constantInts(to, 'after_last_place', [2 ** 31 - 1]);
      add(to, 'Slice', [from, end, axis], `${at.name}.last`, [1, width]);
      return add(to, 'Squeeze', [axis], at.name, [width]);
    }
  }
}
