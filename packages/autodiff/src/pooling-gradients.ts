import { div, equal, expand, indicator, int, intList, make, mul, positive, reshape, times, zeros } from './ops.js';
import { constant, ints, size } from './value.js';
import type { Shape, Value } from './value.js';
import { reachOf } from './windows.js';
import type { Windows } from './windows.js';

/** Each window's gradient goes to its maximum; `indices` are MaxPool's second output, flat over the whole input. */
export function maxPoolInput(g: Value, indices: Value, x: Shape, windows: Windows): Value {
  const { kernel, strides, before, after, dilations } = windows;
  const overlapping = kernel.some((k, i) => strides[i]! < dilations[i]! * (k - 1) + 1);
  const { after: reached } = reachOf(x.slice(2), g.shape.slice(2), windows);
  // MaxUnpool knows no sizes rounded up
  if (overlapping || reached.some((n, i) => n > after[i]!)) {
    const flat = (v: Value) => reshape(v, [size(v.shape)]);
    const scattered = make('ScatterElements', [zeros([size(x)]), flat(indices), flat(g)], [size(x)], g.dataType, {
      axis: int(0),
      reduction: { kind: 'string', value: 'add' },
    });
    return reshape(scattered, x);
  }
  return make('MaxUnpool', [g, indices, ints(x)], x, g.dataType, {
    kernel_shape: intList(kernel),
    strides: intList(strides),
    pads: intList([...before, ...after]),
  });
}

/**
 * For MaxPool of a Relu whose windows tile the input: the gradient of what the Relu read. Each maximum is found again by
 * comparison, which is cheaper than MaxPool's positions; several equal ones share the gradient.
 */
export function rectifiedMaxPoolInput(g: Value, rectified: Value, y: Value, { kernel, strides }: Windows): Value {
  const wide = (v: Value) =>
    make('Resize', [v, undefined, constant([1, 1, ...kernel], [kernel.length + 2])], rectified.shape, 'float', {
      mode: { kind: 'string', value: 'nearest' },
      coordinate_transformation_mode: { kind: 'string', value: 'asymmetric' },
      nearest_mode: { kind: 'string', value: 'floor' },
    });
  const mask = indicator(equal(rectified, wide(y)));
  const window = { kernel_shape: intList(kernel), strides: intList(strides) };
  const ties = times(make('AveragePool', [mask], y.shape, 'float', window), size(kernel));
  return mul(wide(mul(g, div(positive(y), ties))), mask);
}

/** Whether windows cover every element of [n, c, …spatial] exactly once. */
export const tiles = (x: Shape, { kernel, strides, before, after, dilations }: Windows): boolean =>
  [...before, ...after].every((count) => count === 0) &&
  x.slice(2).every((n, i) => kernel[i] === strides[i] && dilations[i] === 1 && n % kernel[i]! === 0);

/** Each window's gradient goes to all of it in equal parts. */
export function averagePoolInput(g: Value, x: Shape, windows: Windows, countPadding: boolean): Value {
  const area = size(windows.kernel);
  const outputs = g.shape.slice(2);
  const bare = [...windows.before, ...reachOf(x.slice(2), outputs, windows).after].every((beyond) => beyond === 0);
  const share = bare ? constant([1 / area], []) : sharesOf(outputs, x.slice(2), windows, countPadding);
  return windowSums(mul(g, share), x, windows);
}

/** Each element gets the sum of what arrives at the windows it lies in. */
export function windowSums(g: Value, x: Shape, windows: Windows): Value {
  const { kernel, strides, before, dilations } = windows;
  const [batch = 0, channels = 0, ...spatial] = x;
  const outputs = g.shape.slice(2);
  if (tiles(x, windows)) {
    const apart = [batch, channels, ...outputs.flatMap((n) => [n, 1])];
    const wide = [batch, channels, ...outputs.flatMap((n, i) => [n, kernel[i]!])];
    return reshape(expand(reshape(g, apart), wide), x);
  }
  const { after, missing } = reachOf(spatial, outputs, windows);
  return make('ConvTranspose', [g, onesOf(channels, kernel)], x, g.dataType, {
    kernel_shape: intList(kernel),
    strides: intList(strides),
    dilations: intList(dilations),
    pads: intList([...before, ...after]),
    output_padding: intList(missing),
    group: int(channels),
  });
}

/** A kernel that adds up each channel's window. */
const onesOf = (channels: number, kernel: readonly number[]): Value =>
  constant(new Float32Array(channels * size(kernel)).fill(1), [channels, 1, ...kernel]);

/** AveragePool with gaps between the elements of a window, which operator set 18 has not: a depthwise convolution. */
export function dilatedAveragePool(x: Value, y: Shape, windows: Windows, countPadding: boolean): Value {
  const { kernel, strides, dilations, before } = windows;
  const spatial = x.shape.slice(2);
  const { after } = reachOf(spatial, y.slice(2), windows);
  const sums = make('Conv', [x, onesOf(x.shape[1]!, kernel)], y, x.dataType, {
    kernel_shape: intList(kernel),
    strides: intList(strides),
    dilations: intList(dilations),
    pads: intList([...before, ...after]),
    group: int(x.shape[1]!),
  });
  return mul(sums, sharesOf(y.slice(2), spatial, windows, countPadding));
}

/** One over the number of elements a window has within the input, or within its stated padding too; [1, 1, …outputs]. */
function sharesOf(outputs: Shape, spatial: Shape, windows: Windows, countPadding: boolean): Value {
  const { kernel, strides, dilations, before, after } = windows;
  let counts = [1];
  outputs.forEach((n, i) => {
    const from = countPadding ? -before[i]! : 0;
    const to = countPadding ? spatial[i]! + after[i]! : spatial[i]!;
    const along = Array.from({ length: n }, (_, at) => {
      const taps = Array.from(
        { length: kernel[i]! },
        (_unused, k) => at * strides[i]! - before[i]! + k * dilations[i]!,
      );
      return taps.filter((position) => position >= from && position < to).length;
    });
    counts = counts.flatMap((count) => along.map((here) => count * here));
  });
  return constant(
    counts.map((count) => 1 / count),
    [1, 1, ...outputs],
  );
}
