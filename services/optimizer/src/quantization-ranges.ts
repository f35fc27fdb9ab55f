import { OnnxFormatError } from '@modelmill/onnx';

/** The least and the greatest value of a tensor, as calibration saw them. */
export interface ValueRange {
  readonly min: number;
  readonly max: number;
}

/** Of all values, or of the 99.99 % with the smallest magnitudes. */
export type CalibrationMethod = 'minmax' | 'percentile';

/** Ranges of named tensors, gathered batch by batch: the same however the values are split into batches. */
export interface Ranges {
  /** Throws OnnxFormatError where a value is not a finite number. */
  add(name: string, values: Float32Array): void;
  /** Ranges of the tensors that had values. */
  finish(): Map<string, ValueRange>;
}

export function createRanges(method: CalibrationMethod): Ranges {
  const start = { minmax: extremes, percentile: percentiles }[method];
  const gathered = new Map<string, Gathering>();
  return {
    add(name, values) {
      if (values.length === 0) return;
      const gathering = gathered.get(name) ?? start();
      gathered.set(name, gathering);
      const odd = values.find((value) => !Number.isFinite(value));
      if (odd !== undefined) throw notFinite(name, odd);
      gathering.add(values);
    },
    finish: () => new Map([...gathered].map(([name, gathering]) => [name, gathering.finish()])),
  };
}

const notFinite = (tensor: string, got: number) =>
  new OnnxFormatError(`tensor '${tensor}' became ${got} on the calibration examples, wants finite numbers`);

interface Gathering {
  add(values: Float32Array): void;
  finish(): ValueRange;
}

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
    finish: () => ({ min, max }),
  };
}

/** Share of the magnitudes that the range keeps. */
const kept = 0.9999;

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
  let count = 0;
  return {
    add(values) {
      all.add(values);
      count += values.length;
      const bits = new Uint32Array(Float32Array.from(values).buffer);
      for (const one of bits) counts[(one & 0x7fffffff) >>> shift]!++;
    },
    finish() {
      const { min, max } = all.finish();
      let bin = -1;
      for (let below = 0; below < Math.ceil(kept * count);) below += counts[++bin]!;
      const limit = upperEdge(bin);
      return { min: Math.max(min, -limit), max: Math.min(max, limit) };
    },
  };
}

/** Where a bin ends; the last one at infinity. */
const upperEdge = (bin: number) => new Float32Array(Uint32Array.of((bin + 1) << shift).buffer)[0]!;
