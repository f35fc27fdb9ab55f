import { expand, int, intList, make, mul, reshape, zeros } from './ops.js';
import { constant, ints, size } from './value.js';
import type { Shape, Value } from './value.js';
import { leftOver } from './windows.js';
import type { Windows } from './windows.js';

/** Each window's gradient goes to its maximum; `indices` are MaxPool's second output, flat over the whole input. */
export function maxPoolInput(g: Value, indices: Value, x: Shape, windows: Windows): Value {
  const { kernel, strides, before, after, dilations } = windows;
  const overlapping = kernel.some((k, i) => strides[i]! < dilations[i]! * (k - 1) + 1);
  if (overlapping) {
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

/** Each window's gradient goes to all of it in equal parts. */
export function averagePoolInput(g: Value, x: Shape, windows: Windows, countPadding: boolean): Value {
  const { kernel, strides, before, after, dilations } = windows;
  const [batch = 0, channels = 0, ...spatial] = x;
  const area = size(kernel);
  const bare = [...before, ...after].every((zerosThere) => zerosThere === 0);
  const tiles = spatial.every((n, i) => kernel[i] === strides[i] && dilations[i] === 1 && n % kernel[i]! === 0);
  if (bare && tiles) {
    const outputs = g.shape.slice(2);
    const apart = [batch, channels, ...outputs.flatMap((n) => [n, 1])];
    const wide = [batch, channels, ...outputs.flatMap((n, i) => [n, kernel[i]!])];
    return reshape(expand(reshape(mul(g, constant([1 / area], [])), apart), wide), x);
  }
  const share = countPadding || bare ? constant([1 / area], []) : sharesOf(g.shape.slice(2), spatial, windows);
  const ones = constant(new Float32Array(channels * area).fill(1), [channels, 1, ...kernel]);
  return make('ConvTranspose', [mul(g, share), ones], x, g.dataType, {
    kernel_shape: intList(kernel),
    strides: intList(strides),
    dilations: intList(dilations),
    pads: intList([...before, ...after]),
    output_padding: intList(leftOver(spatial, windows)),
    group: int(channels),
  });
}

/** One over the number of elements a window has within the input, [1, 1, …outputs]. */
function sharesOf(outputs: Shape, spatial: Shape, { kernel, strides, dilations, before }: Windows): Value {
  let counts = [1];
  outputs.forEach((n, i) => {
    const along = Array.from({ length: n }, (_, at) => {
      const taps = Array.from(
        { length: kernel[i]! },
        (_unused, k) => at * strides[i]! - before[i]! + k * dilations[i]!,
      );
      return taps.filter((position) => position >= 0 && position < spatial[i]!).length;
    });
    counts = counts.flatMap((count) => along.map((here) => count * here));
  });
  return constant(
    counts.map((count) => 1 / count),
    [1, 1, ...outputs],
  );
}
