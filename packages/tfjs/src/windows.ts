import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import type { Reading, TfjsOperator } from './reading.js';

/** Of a window along two axes; one axis is taken for a flat one of two. */
interface Window {
  readonly kernel: readonly [number, number];
  readonly strides: [number, number];
  readonly dilations: readonly [number, number];
  /** Before and after, per axis. */
  readonly pads: readonly [readonly [number, number], readonly [number, number]];
}

/** Images by channel last, as TensorFlow has them, from ONNX's [batch, channels, …]. */
const channelsLast = (x: Tensor): Tensor4D => tf.transpose(inTwoAxes(x), [0, 2, 3, 1]);
const channelsFirst = (y: Tensor4D, like: Tensor): Tensor => {
  const turned = tf.transpose(y, [0, 3, 1, 2]);
  return like.rank === 3 ? tf.squeeze(turned, [2]) : turned;
};
const inTwoAxes = (x: Tensor): Tensor4D => (x.rank === 3 ? tf.expandDims(x, 2) : x) as Tensor4D;

function windowOf({ int, list, text }: Reading, x: Tensor4D, kernel: readonly number[]): Window {
  const flat = kernel.length === 1;
  const both = (values: readonly number[] | undefined, one: number): [number, number] => {
    const [first = one, second = first] = values ?? [one, one];
    return flat ? [one, first] : [first, second];
  };
  const size = both(kernel, 1);
  const strides = both(list('strides'), 1);
  const dilations = both(list('dilations'), 1);
  const places = [x.shape[1], x.shape[2]] as const;
  const reach = ([0, 1] as const).map((axis) => dilations[axis] * (size[axis] - 1) + 1);
  const stated = list('pads') ?? [];
  const rank = kernel.length;
  const auto = text('auto_pad', 'NOTSET');
  const pads = ([0, 1] as const).map((axis): [number, number] => {
    const at = axis - (2 - rank);
    if (at < 0) return [0, 0];
    if (auto.startsWith('SAME')) {
      const out = Math.ceil(places[axis] / strides[axis]);
      const all = Math.max(0, (out - 1) * strides[axis] + reach[axis]! - places[axis]);
      const less = Math.floor(all / 2);
      return auto === 'SAME_LOWER' ? [all - less, less] : [less, all - less];
    }
    const [before, after] = [stated[at] ?? 0, stated[rank + at] ?? 0];
    const last = (places[axis] + before + after - reach[axis]!) / strides[axis];
    const up = int('ceil_mode', 0) === 1 && Math.ceil(last) * strides[axis] < places[axis] + before;
    return [before, after + (up ? Math.ceil(last) * strides[axis] - Math.floor(last * strides[axis]) : 0)];
  });
  return { kernel: size, strides, dilations, pads: [pads[0]!, pads[1]!] };
}

const padded = (x: Tensor4D, [rows, columns]: Window['pads'], by: number): Tensor4D =>
  [...rows, ...columns].every((count) => count === 0) ? x : tf.pad(x, [[0, 0], [...rows], [...columns], [0, 0]], by);

/** Zeros between a kernel's places: TensorFlow.js has no gradient of a dilated convolution. [h, w, in, out]. */
function dilated(kernel: Tensor4D, dilations: readonly [number, number]): Tensor4D {
  return ([0, 1] as const).reduce((k, axis) => {
    const by = dilations[axis];
    if (by === 1) return k;
    const spread = tf.expandDims(k, axis + 1);
    const zeros = spread.shape.map((): [number, number] => [0, 0]);
    zeros[axis + 1] = [0, by - 1];
    const shape = [...k.shape] as [number, number, number, number];
    const places = shape[axis];
    shape[axis] *= by;
    const whole = tf.reshape(tf.pad(spread, zeros), shape) as Tensor4D;
    shape[axis] = (places - 1) * by + 1;
    return tf.slice(whole, [0, 0, 0, 0], shape);
  }, kernel);
}

const conv: TfjsOperator = (reading) => {
  const [x, weights, bias] = reading.x as [Tensor, Tensor, Tensor | undefined];
  const groups = reading.int('group', 1);
  const input = channelsLast(x);
  const window = windowOf(reading, input, weights.shape.slice(2));
  const kernel = dilated(tf.transpose(inTwoAxes(weights), [2, 3, 1, 0]), window.dilations);
  const image = padded(input, window.pads, 0);
  const parts = groups === 1 ? [image] : tf.split<Tensor4D>(image, groups, 3);
  const kernels = groups === 1 ? [kernel] : tf.split<Tensor4D>(kernel, groups, 3);
  const made = parts.map((part, i) => tf.conv2d(part, kernels[i]!, window.strides, 'valid'));
  const all = tf.concat(made, 3);
  return channelsFirst(bias ? tf.add<Tensor4D>(all, bias) : all, x);
};

const lowest = -3.4e38;

const maxPool: TfjsOperator = (reading) => {
  const [x] = reading.x as [Tensor];
  const input = channelsLast(x);
  const { kernel, strides, pads } = windowOf(reading, input, reading.list('kernel_shape')!);
  return channelsFirst(tf.maxPool(padded(input, pads, lowest), [...kernel], strides, 'valid'), x);
};

const averagePool: TfjsOperator = (reading) => {
  const [x] = reading.x as [Tensor];
  const input = channelsLast(x);
  const { kernel, strides, pads } = windowOf(reading, input, reading.list('kernel_shape')!);
  const pool = (of: Tensor4D) => tf.avgPool(padded(of, pads, 0), [...kernel], strides, 'valid');
  const mean = pool(input);
  const counted = reading.int('count_include_pad', 0) === 1;
  return channelsFirst(counted ? mean : tf.div(mean, pool(tf.onesLike(input))), x);
};

const overPlaces = (x: Tensor) => Array.from({ length: x.rank - 2 }, (_, i) => i + 2);

export const windowOperators: Readonly<Record<string, TfjsOperator>> = {
  Conv: conv,
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: ({ x: [x] }) => tf.mean(x!, overPlaces(x!), true),
  GlobalMaxPool: ({ x: [x] }) => tf.max(x!, overPlaces(x!), true),
};
