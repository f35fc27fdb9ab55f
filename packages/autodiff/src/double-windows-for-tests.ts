import { sizeOf } from './double-kernel-for-tests.js';
import type { Kernel, KernelQuestion, Numbers } from './double-kernel-for-tests.js';
import { windowsOf } from './windows.js';

/** Places in an array of these sizes, in row-major order. */
export function* placesIn(dims: readonly number[]): Generator<readonly number[]> {
  for (let flat = 0; flat < sizeOf(dims); flat++) {
    let rest = flat;
    const place = dims.map(() => 0);
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      place[axis] = rest % dims[axis]!;
      rest = Math.floor(rest / dims[axis]!);
    }
    yield place;
  }
}

const flatOf = (place: readonly number[], dims: readonly number[]) =>
  place.reduce((flat, at, axis) => flat * dims[axis]! + at, 0);

const inside = (place: readonly number[], dims: readonly number[]) =>
  place.every((at, axis) => at >= 0 && at < dims[axis]!);

const geometry = ({ opType, attributes }: KernelQuestion, dims: readonly number[], kernel?: readonly number[]) =>
  windowsOf({ opType, attributes, domain: '', node: '', inputs: [], outputs: [] }, dims, kernel);

const convolution: Kernel = (question) => {
  const [x, w, b] = question.x as [Numbers, Numbers, Numbers | undefined];
  const [batch = 0, , ...spatial] = x.dims;
  const [maps = 0, inner = 0, ...kernel] = w.dims;
  const { strides, dilations, before, after, groups } = geometry(question, x.dims, kernel);
  const sizes = spatial.map((length, i) =>
    Math.floor((length + before[i]! + after[i]! - dilations[i]! * (kernel[i]! - 1) - 1) / strides[i]! + 1),
  );
  const dims = [batch, maps, ...sizes];
  const taps = [...placesIn([inner, ...kernel])];
  const data = Float64Array.from(placesIn(dims), ([n, map, ...at]) => {
    const channel = Math.floor(map! / (maps / groups)) * inner;
    return taps.reduce(
      (sum, [c, ...tap]) => {
        const from = at.map((one, i) => one * strides[i]! + tap[i]! * dilations[i]! - before[i]!);
        if (!inside(from, spatial)) return sum;
        const value = x.data[flatOf([n!, channel + c!, ...from], x.dims)]!;
        return sum + value * w.data[flatOf([map!, c!, ...tap], w.dims)]!;
      },
      b ? b.data[map!]! : 0,
    );
  });
  return [{ dims, data }];
};

const transposed: Kernel = (question) => {
  const [x, w, b] = question.x as [Numbers, Numbers, Numbers | undefined];
  const [batch = 0, channels = 0, ...spatial] = x.dims;
  const [, perGroup = 0, ...kernel] = w.dims;
  const { strides, dilations, before, after, groups } = geometry(question, x.dims, kernel);
  const extra = question.list(
    'output_padding',
    kernel.map(() => 0),
  );
  const auto = question.word('auto_pad', 'NOTSET');
  const full = spatial.map(
    (length, i) => strides[i]! * (length - 1) + extra[i]! + (kernel[i]! - 1) * dilations[i]! + 1,
  );
  const stated = question.list('output_shape', auto.startsWith('SAME') ? spatial.map((n, i) => n * strides[i]!) : []);
  const sizes = full.map((length, i) => stated.at(i - full.length) ?? length - before[i]! - after[i]!);
  const start = full.map((length, i) => {
    if (stated.length === 0) return before[i]!;
    const all = Math.max(length - sizes[i]!, 0);
    return auto === 'SAME_UPPER' ? Math.floor(all / 2) : Math.ceil(all / 2);
  });
  const dims = [batch, perGroup * groups, ...sizes];
  const area = sizeOf(sizes);
  const data = new Float64Array(sizeOf(dims)).map((_, flat) =>
    b ? b.data[Math.floor(flat / area) % (perGroup * groups)]! : 0,
  );
  const taps = [...placesIn([perGroup, ...kernel])];
  for (const [n, c, ...at] of placesIn(x.dims)) {
    const value = x.data[flatOf([n!, c!, ...at], x.dims)]!;
    const group = Math.floor(c! / (channels / groups));
    for (const [map, ...tap] of taps) {
      const to = at.map((one, i) => one * strides[i]! + tap[i]! * dilations[i]! - start[i]!);
      if (!inside(to, sizes)) continue;
      data[flatOf([n!, group * perGroup + map!, ...to], dims)]! += value * w.data[flatOf([c!, map!, ...tap], w.dims)]!;
    }
  }
  return [{ dims, data }];
};

/** One number from every window: `of` sees what lies inside the input, and how many places count. */
const pooled =
  (of: (values: readonly number[], count: number, question: KernelQuestion) => number): Kernel =>
  (question) => {
    const x = question.x[0]!;
    const [batch = 0, channels = 0, ...spatial] = x.dims;
    const global = question.opType.startsWith('Global');
    const { kernel, strides, dilations, before, after } = geometry(question, x.dims, global ? spatial : undefined);
    const up = question.int('ceil_mode', 0) === 1;
    const sizes = spatial.map((length, i) => {
      const steps = (length + before[i]! + after[i]! - dilations[i]! * (kernel[i]! - 1) - 1) / strides[i]!;
      const count = (up ? Math.ceil(steps) : Math.floor(steps)) + 1;
      // no window begins in the padding behind
      return up && (count - 1) * strides[i]! >= length + before[i]! ? count - 1 : count;
    });
    const dims = [batch, channels, ...sizes];
    const padded = spatial.map((length, i) => length + before[i]! + after[i]!);
    const taps = [...placesIn(kernel)];
    const data = Float64Array.from(placesIn(dims), ([n, c, ...at]) => {
      const places = taps.map((tap) => at.map((one, i) => one * strides[i]! + tap[i]! * dilations[i]! - before[i]!));
      const values = places
        .filter((place) => inside(place, spatial))
        .map((place) => x.data[flatOf([n!, c!, ...place], x.dims)]!);
      const reached = places.filter((place) =>
        inside(
          place.map((one, i) => one + before[i]!),
          padded,
        ),
      );
      return of(values, question.int('count_include_pad', 0) === 1 ? reached.length : values.length, question);
    });
    return [{ dims, data }];
  };

const norm = pooled((values, _, { int }) => {
  const p = int('p', 2);
  return values.reduce((sum, value) => sum + Math.abs(value) ** p, 0) ** (1 / p);
});

export const windowKernels: Readonly<Record<string, Kernel>> = {
  Conv: convolution,
  ConvTranspose: transposed,
  AveragePool: pooled((values, count) => values.reduce((sum, value) => sum + value, 0) / count),
  GlobalAveragePool: pooled((values, count) => values.reduce((sum, value) => sum + value, 0) / count),
  GlobalMaxPool: pooled((values) => Math.max(...values)),
  LpPool: norm,
  GlobalLpPool: norm,
  MaxUnpool: ({ x: [x, positions, shape], list }) => {
    const kernel = list('kernel_shape', []);
    const strides = list(
      'strides',
      kernel.map(() => 1),
    );
    const pads = list(
      'pads',
      [...kernel, ...kernel].map(() => 0),
    );
    const dims = shape
      ? Array.from(shape.data)
      : x!.dims.map((length, axis) => {
          const i = axis - 2;
          return i < 0 ? length : (length - 1) * strides[i]! + kernel[i]! - pads[i]! - pads[kernel.length + i]!;
        });
    const data = new Float64Array(sizeOf(dims));
    positions!.data.forEach((to, i) => (data[to] = x!.data[i]!));
    return [{ dims, data }];
  },
};
