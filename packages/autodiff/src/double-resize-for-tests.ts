import { sizeOf } from './double-kernel-for-tests.js';
import type { Kernel, KernelQuestion } from './double-kernel-for-tests.js';

/** One axis after the other: every output is a sum of its neighbours, weighed by how near they are. */
export const resize: Kernel = (question) => {
  const [x, , scales, sizes] = question.x;
  const rank = x!.dims.length;
  const axes = question.list('axes', [...x!.dims.keys()]).map((axis) => (axis < 0 ? axis + rank : axis));
  const given = scales && scales.data.length > 0 ? scales : undefined;
  let { dims, data } = x!;
  axes.forEach((axis, i) => {
    const length = dims[axis]!;
    // what scale is said, is said in floats
    const scale = given ? given.data[i]! : sizes!.data[i]! / length;
    const outputs = given ? Math.floor(length * scale) : sizes!.data[i]!;
    const after = sizeOf(dims.slice(axis + 1));
    const made = dims.map((old, at) => (at === axis ? outputs : old));
    const next = new Float64Array(sizeOf(made));
    for (let out = 0; out < outputs; out++) {
      const shares = sharesOf(question, placeOf(question, out, scale, length, outputs), length);
      for (let flat = 0; flat < sizeOf(dims) / length; flat++) {
        const [before, inner] = [Math.floor(flat / after), flat % after];
        for (const [at, share] of shares) {
          next[(before * outputs + out) * after + inner]! += share * data[(before * length + at) * after + inner]!;
        }
      }
    }
    dims = made;
    data = next;
  });
  return [{ dims, data }];
};

function placeOf({ word }: KernelQuestion, out: number, scale: number, length: number, outputs: number): number {
  switch (word('coordinate_transformation_mode', 'half_pixel')) {
    case 'asymmetric':
      return out / scale;
    case 'align_corners':
      return outputs === 1 ? 0 : (out * (length - 1)) / (outputs - 1);
    case 'pytorch_half_pixel':
      return outputs === 1 ? 0 : (out + 0.5) / scale - 0.5;
    default:
      return (out + 0.5) / scale - 0.5;
  }
}

function sharesOf({ word, float, int }: KernelQuestion, place: number, length: number): (readonly [number, number])[] {
  const within = (at: number) => Math.min(Math.max(at, 0), length - 1);
  const first = Math.floor(place);
  const rest = place - first;
  switch (word('mode', 'nearest')) {
    case 'linear':
      return [
        [within(first), 1 - rest],
        [within(first + 1), rest],
      ];
    case 'cubic': {
      // Keys 1981: the kernel's two pieces at the distances of the four neighbours
      const a = float('cubic_coeff_a', -0.75);
      const near = (d: number) => (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1;
      const far = (d: number) => a * d ** 3 - 5 * a * d ** 2 + 8 * a * d - 4 * a;
      const all = [far(1 + rest), near(rest), near(1 - rest), far(2 - rest)].map((share, i) => [first - 1 + i, share]);
      const kept = all.filter(([at]) => int('exclude_outside', 0) === 0 || (at! >= 0 && at! < length));
      const sum = int('exclude_outside', 0) === 0 ? 1 : kept.reduce((total, [, share]) => total + share!, 0);
      return kept.map(([at, share]) => [within(at!), share! / sum]);
    }
    default: {
      const rounded = {
        floor: first,
        ceil: Math.ceil(place),
        round_prefer_floor: rest <= 0.5 ? first : first + 1,
        round_prefer_ceil: rest < 0.5 ? first : first + 1,
      }[word('nearest_mode', 'round_prefer_floor')];
      return [[within(rounded ?? first), 1]];
    }
  }
}
