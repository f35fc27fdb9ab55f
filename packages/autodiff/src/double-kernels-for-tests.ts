import { broadcast } from '@modelmill/onnx';
import { sizeOf } from './double-kernel-for-tests.js';
import type { Kernel, KernelQuestion, Numbers } from './double-kernel-for-tests.js';
import { recurrentKernels } from './double-recurrent-for-tests.js';
import { resize } from './double-resize-for-tests.js';
import { placesIn, windowKernels } from './double-windows-for-tests.js';

const each =
  (of: (value: number, question: KernelQuestion) => number): Kernel =>
  (question) => {
    const { dims, data } = question.x[0]!;
    return [{ dims, data: data.map((value) => of(value, question)) }];
  };

/** (x − mean) / √(variance + ε) over the elements that `group` calls one, then a scale and an offset of each element. */
function standardized(
  { dims, data }: Numbers,
  epsilon: number,
  group: (flat: number) => number,
  scale: (flat: number) => number = () => 1,
  offset: (flat: number) => number = () => 0,
) {
  const groups = new Map<number, number[]>();
  data.forEach((value, flat) => groups.set(group(flat), [...(groups.get(group(flat)) ?? []), value]));
  const statistics = new Map(
    [...groups].map(([key, values]) => {
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
      return [key, { mean, inverse: 1 / Math.sqrt(variance + epsilon) }] as const;
    }),
  );
  const made = data.map((value, flat) => {
    const { mean, inverse } = statistics.get(group(flat))!;
    return (value - mean) * inverse * scale(flat) + offset(flat);
  });
  return { y: { dims, data: made }, statistics: [...statistics.values()] };
}

const groupNormalization: Kernel = (question) => {
  const [x, scale, bias] = question.x;
  const [, channels = 1, ...spatial] = x!.dims;
  const groups = question.opType === 'InstanceNormalization' ? channels : question.int('num_groups', 1);
  const area = sizeOf(spatial);
  const group = (flat: number) => Math.floor(flat / (area * (channels / groups)));
  // one number per channel, or per group as sets before 21 have it
  const at = (flat: number) => Math.floor(flat / area) % channels;
  const of = (list: Numbers) => (flat: number) => list.data[Math.floor(at(flat) / (channels / list.dims[0]!))]!;
  return [standardized(x!, question.float('epsilon', 1e-5), group, of(scale!), of(bias!)).y];
};

const layerNormalization: Kernel = ({ x: [x, scale, bias], int, float }) => {
  const axis = int('axis', -1);
  const from = axis < 0 ? axis + x!.dims.length : axis;
  const width = sizeOf(x!.dims.slice(from));
  const of = (list: Numbers | undefined, otherwise: number) => (flat: number) =>
    list ? list.data[(flat % width) % list.data.length]! : otherwise;
  const group = (flat: number) => Math.floor(flat / width);
  const { y, statistics } = standardized(x!, float('epsilon', 1e-5), group, of(scale, 1), of(bias, 0));
  const dims = x!.dims.map((length, i) => (i < from ? length : 1));
  return [
    y,
    { dims, data: Float64Array.from(statistics, ({ mean }) => mean) },
    { dims, data: Float64Array.from(statistics, ({ inverse }) => inverse) },
  ];
};

const meanVariance: Kernel = ({ x: [x], list }) => {
  const rank = x!.dims.length;
  const reduced = list('axes', [0, 2, 3]).map((axis) => (axis < 0 ? axis + rank : axis));
  const kept = [...x!.dims.keys()].filter((axis) => !reduced.includes(axis));
  const at = (flat: number, axis: number) => Math.floor(flat / sizeOf(x!.dims.slice(axis + 1))) % x!.dims[axis]!;
  // the standard's 1e-9 is added to the deviation, which changes nothing here
  return [standardized(x!, 0, (flat) => kept.reduce((key, axis) => key * x!.dims[axis]! + at(flat, axis), 0)).y];
};

const localResponse: Kernel = ({ x: [x], int, float }) => {
  const { dims, data } = x!;
  const [, channels = 1] = dims;
  const area = sizeOf(dims.slice(2));
  const width = int('size', 1);
  const made = data.map((value, flat) => {
    const channel = Math.floor(flat / area) % channels;
    let sum = 0;
    for (let by = -Math.floor((width - 1) / 2); by <= Math.ceil((width - 1) / 2); by++) {
      if (channel + by >= 0 && channel + by < channels) sum += data[flat + by * area]! ** 2;
    }
    return value / (float('bias', 1) + (float('alpha', 1e-4) / width) * sum) ** float('beta', 0.75);
  });
  return [{ dims, data: made }];
};

/** Pairs of elements turned by an angle, as set 23 describes it. */
const rotary: Kernel = ({ x: [x, cos, sin, places], int }) => {
  const { dims, data } = x!;
  const flat = dims.length === 3;
  const [batch = 0] = dims;
  const heads = flat ? int('num_heads', 1) : dims[1]!;
  const time = dims[flat ? 1 : 2]!;
  const width = flat ? dims[2]! / heads : dims[3]!;
  const turned = int('rotary_embedding_dim', 0) || width;
  const half = turned / 2;
  const made = data.slice();
  for (let row = 0; row < batch * heads * time; row++) {
    const b = Math.floor(row / (heads * time));
    const t = flat ? Math.floor(row / heads) % time : row % time;
    const angle = (places ? places.data[b * time + t]! : b * time + t) * half;
    for (let k = 0; k < half; k++) {
      const [one, other] = int('interleaved', 0) === 1 ? [2 * k, 2 * k + 1] : [k, k + half];
      const [a, z] = [data[row * width + one]!, data[row * width + other]!];
      made[row * width + one] = cos!.data[angle + k]! * a - sin!.data[angle + k]! * z;
      made[row * width + other] = sin!.data[angle + k]! * a + cos!.data[angle + k]! * z;
    }
  }
  return [{ dims, data: made }];
};

/** erf(x) by its series, which is exact enough for the numbers of tests. */
function erf(x: number): number {
  let [sum, power] = [0, x];
  for (let n = 0; n < 100; n++) {
    sum += power / (2 * n + 1);
    power *= -(x * x) / (n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const gelu = each((x, { word }) =>
  word('approximate', 'none') === 'tanh'
    ? 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
    : 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
);

const mean: Kernel = ({ x }) => {
  const dims = x.reduce<readonly number[]>((wide, one) => broadcast(wide, one!.dims), []);
  const at = ({ dims: own, data }: Numbers, place: readonly number[]) =>
    data[own.reduce((flat, length, axis) => flat * length + (length === 1 ? 0 : place.at(axis - own.length)!), 0)]!;
  const data = Float64Array.from(
    placesIn(dims),
    (place) => x.reduce((sum, one) => sum + at(one!, place), 0) / x.length,
  );
  return [{ dims, data }];
};

/** Of the last axis. */
const hardmax: Kernel = ({ x: [x] }) => {
  const { dims, data } = x!;
  const width = dims.at(-1)!;
  const largest = (flat: number) => Math.max(...data.subarray(flat - (flat % width), flat - (flat % width) + width));
  return [{ dims, data: data.map((value, flat) => Number(value === largest(flat))) }];
};

/** What ONNX Runtime's CPU computes in floats only, in doubles. */
export const doubleKernels: Readonly<Record<string, Kernel>> = {
  ...Object.fromEntries(
    (['sin', 'cos', 'tan', 'asin', 'acos', 'atan', 'sinh', 'cosh', 'asinh', 'acosh', 'atanh'] as const).map((name) => [
      name[0]!.toUpperCase() + name.slice(1),
      each((value) => Math[name](value)),
    ]),
  ),
  Celu: each((value, { float }) => {
    const alpha = float('alpha', 1);
    return Math.max(value, 0) + Math.min(0, alpha * Math.expm1(value / alpha));
  }),
  Shrink: each((value, { float }) => {
    const bias = float('bias', 0);
    if (value > float('lambd', 0.5)) return value - bias;
    return value < -float('lambd', 0.5) ? value + bias : 0;
  }),
  InstanceNormalization: groupNormalization,
  GroupNormalization: groupNormalization,
  LayerNormalization: layerNormalization,
  MeanVarianceNormalization: meanVariance,
  LRN: localResponse,
  Erf: each(erf),
  Gelu: gelu,
  Hardmax: hardmax,
  Mean: mean,
  Resize: resize,
  RotaryEmbedding: rotary,
  ...recurrentKernels,
  ...windowKernels,
};
