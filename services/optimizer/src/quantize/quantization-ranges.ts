import { setImmediate as nextTurn } from 'node:timers/promises';
import { OnnxFormatError } from '@modelmill/onnx';
import { count, emptyHistogram, entropyRange, leastSquaresRange } from './histogram-ranges.js';
import type { Histogram } from './histogram-ranges.js';
import type { ValueRange } from './value-range.js';

/**
 * `minmax`: of all values. `moving_average`: of the examples' extremes, each moving the average by a hundredth.
 * `percentile`: of the 99.999 % with the smallest magnitudes. `entropy` and `mse`: what loses the least of a histogram.
 */
export const calibrationMethods = ['minmax', 'moving_average', 'percentile', 'entropy', 'mse'] as const;
export type CalibrationMethod = (typeof calibrationMethods)[number];

/** Ranges of named tensors, gathered batch by batch: the same however the examples are split into batches. */
export interface Ranges {
  /** The values of so many examples, one after the other. Throws OnnxFormatError where one is not a finite number. */
  add(name: string, values: Float32Array, examples: number): void;
  /** Whether all values are wanted once more: a histogram has to know its width. */
  again(): boolean;
  /** Ranges of the tensors that had values. */
  finish(): Promise<Map<string, ValueRange>>;
}

/** One tensor's. Its memory does not grow with what is added. */
interface Gathering {
  add(values: Float32Array, examples: number): void;
  /** Starts another round over the values; false where none is wanted. */
  again(): boolean;
  finish(): ValueRange;
}

const methods: { readonly [M in CalibrationMethod]: () => Gathering } = {
  minmax: extremes,
  moving_average: movingAverage,
  percentile: percentiles,
  entropy: () => binned(entropyRange, symmetric),
  mse: () => binned(leastSquaresRange, withZero),
};

export function createRanges(method: CalibrationMethod): Ranges {
  const gathered = new Map<string, Gathering>();
  return {
    add(name, values, examples) {
      if (values.length === 0) return;
      const gathering = gathered.get(name) ?? methods[method]();
      gathered.set(name, gathering);
      const odd = values.find((value) => !Number.isFinite(value));
      if (odd !== undefined) throw notFinite(name, odd);
      gathering.add(values, examples);
    },
    again: () => [...gathered.values()].map((gathering) => gathering.again()).some(Boolean),
    async finish() {
      const ranges = new Map<string, ValueRange>();
      for (const [name, gathering] of gathered) {
        ranges.set(name, gathering.finish());
        await nextTurn();
      }
      return ranges;
    },
  };
}

const notFinite = (tensor: string, got: number) =>
  new OnnxFormatError(`tensor '${tensor}' became ${got} on the calibration examples, wants finite numbers`);

const once = () => false;

function extremes(): Gathering {
  let min = Infinity;
  let max = -Infinity;
  return {
    add(values) {
      for (const value of values) {
        if (value < min) min = value;
        if (value > max) max = value;
      }
    },
    again: once,
    finish: () => ({ min, max }),
  };
}

const momentum = 0.01;

/** Example by example; a tensor whose values do not divide among the examples counts as one of them. */
function movingAverage(): Gathering {
  let average: ValueRange | undefined;
  const moved = (from: number, to: number) => from + momentum * (to - from);
  return {
    add(values, examples) {
      const size = values.length % examples === 0 ? values.length / examples : values.length;
      for (let at = 0; at < values.length; at += size) {
        const one = extremes();
        one.add(values.subarray(at, at + size), 1);
        const { min, max } = one.finish();
        average = average ? { min: moved(average.min, min), max: moved(average.max, max) } : { min, max };
      }
    },
    again: once,
    finish: () => average!,
  };
}

/** Share of the magnitudes that the range keeps. */
const kept = 0.99999;

/**
 * A float32's sign, exponent and first eight bits of its fraction number a bin, so bins are 0.4 % wide at every
 * magnitude, and neither their edges nor their number depend on what comes first.
 */
const fractionBits = 8;
const shift = 23 - fractionBits;
const bins = 2 ** (31 - shift);

function percentiles(): Gathering {
  const all = extremes();
  const counts = new Float64Array(bins);
  let seen = 0;
  return {
    add(values) {
      all.add(values, 1);
      seen += values.length;
      const bits = new Uint32Array(Float32Array.from(values).buffer);
      for (const one of bits) counts[(one & 0x7fffffff) >>> shift]!++;
    },
    again: once,
    finish() {
      const { min, max } = all.finish();
      let bin = -1;
      for (let below = 0; below < Math.ceil(kept * seen);) below += counts[++bin]!;
      const limit = upperEdge(bin);
      return { min: Math.max(min, -limit), max: Math.min(max, limit) };
    },
  };
}

/** Where a bin ends; the last one at infinity. */
const upperEdge = (bin: number) => new Float32Array(Uint32Array.of((bin + 1) << shift).buffer)[0]!;

const symmetric = ({ min, max }: ValueRange): ValueRange => {
  const most = Math.max(-min, max);
  return { min: -most, max: most };
};
const withZero = ({ min, max }: ValueRange): ValueRange => ({ min: Math.min(min, 0), max: Math.max(max, 0) });

/** First the extremes, then a histogram over what `widthOf` makes of them. */
function binned(rangeOf: (histogram: Histogram) => ValueRange, widthOf: (range: ValueRange) => ValueRange): Gathering {
  const all = extremes();
  let histogram: Histogram | undefined;
  return {
    add: (values) => (histogram ? count(histogram, values) : all.add(values, 1)),
    again() {
      const { min, max } = widthOf(all.finish());
      if (histogram || min === max) return false;
      histogram = emptyHistogram(min, max);
      return true;
    },
    finish() {
      const { min, max } = all.finish();
      if (!histogram) return { min, max };
      const found = rangeOf(histogram);
      return { min: Math.max(min, found.min), max: Math.min(max, found.max) };
    },
  };
}
