import { activationScale, roundToEven } from './quantized-numbers.js';
import type { ValueRange } from './value-range.js';

/** How often values fall into bins of equal width from `low` to `high`. */
export interface Histogram {
  readonly low: number;
  readonly high: number;
  readonly counts: Float64Array;
}

const bins = 2048;
const levels = 128;

export const emptyHistogram = (low: number, high: number): Histogram => ({
  low,
  high,
  counts: new Float64Array(bins),
});

export function count({ low, high, counts }: Histogram, values: Float32Array): void {
  const perUnit = counts.length / (high - low);
  const last = counts.length - 1;
  for (const value of values) counts[Math.min(last, Math.floor((value - low) * perUnit))]!++;
}

/**
 * The part of a histogram around 0, of width −T to T, that loses the least information (Kullback-Leibler divergence) in
 * few levels: the search of NVIDIA's TensorRT as ONNX Runtime has it, with 2048 bins and 128 levels. One candidate per
 * bin from the middle outwards.
 */
export function entropyRange({ low, high, counts }: Histogram): ValueRange {
  const middle = counts.length / 2;
  const total = counts.reduce((sum, one) => sum + one, 0);
  const edge = (bin: number) => low + ((high - low) * bin) / counts.length;
  let best = { divergence: Infinity, min: low, max: high };
  for (let i = levels / 2; i <= middle; i++) {
    const [start, end] = [middle - i, Math.min(middle + i + 1, counts.length)];
    const divergence = divergenceOf(counts.subarray(start, end), outliers(counts, start, end, total));
    if (divergence < best.divergence) best = { divergence, min: edge(start), max: edge(end) };
  }
  return best;
}

function outliers(counts: Float64Array, start: number, end: number, total: number) {
  const left = sum(counts, 0, start);
  return { left, right: total - left - sum(counts, start, end) };
}

/** Between a slice that took in what lies outside and the slice in few levels. */
function divergenceOf(slice: Float64Array, { left, right }: { left: number; right: number }): number {
  const p = Float64Array.from(slice);
  p[0]! += left;
  p[p.length - 1]! += right;
  const q = new Float64Array(p.length);
  const width = Math.floor(p.length / levels);
  for (let level = 0; level < levels; level++) {
    const from = level * width;
    const merged = sum(slice, from, level === levels - 1 ? slice.length : from + width);
    const filled = p.subarray(from, from + width).filter((one) => one !== 0).length;
    if (filled > 0) q.fill(Math.trunc(merged / filled), from, from + width);
  }
  return smooth(p) && smooth(q) ? relativeEntropy(p, q) : Infinity;
}

const epsilon = 1e-4;

/** Gives zeros a little of what the others have, in place; false where there is nothing to give. */
function smooth(distribution: Float64Array): boolean {
  const zeros = distribution.filter((one) => one === 0).length;
  const others = distribution.length - zeros;
  if (others === 0) return false;
  const given = (epsilon * zeros) / others;
  for (let i = 0; i < distribution.length; i++) distribution[i]! += distribution[i] === 0 ? epsilon : -given;
  return true;
}

function relativeEntropy(p: Float64Array, q: Float64Array): number {
  const [allP, allQ] = [sum(p, 0, p.length), sum(q, 0, q.length)];
  let entropy = 0;
  for (let i = 0; i < p.length; i++) entropy += (p[i]! / allP) * Math.log((p[i]! * allQ) / (q[i]! * allP));
  return entropy;
}

const candidates = 100;

/** The shrunk range, of a hundred, whose unsigned eight bits have the least squared error over a histogram. */
export function leastSquaresRange({ low, high, counts }: Histogram): ValueRange {
  const width = (high - low) / counts.length;
  let best = { error: Infinity, min: low, max: high };
  for (let i = candidates; i > 0; i--) {
    const [min, max] = [(low * i) / candidates, (high * i) / candidates];
    const { scale, zeroPoint } = activationScale({ min, max });
    let error = 0;
    for (let bin = 0; bin < counts.length; bin++) {
      if (counts[bin] === 0) continue;
      const value = low + (bin + 0.5) * width;
      const step = Math.min(Math.max(roundToEven(value / scale) + zeroPoint, 0), 255);
      error += counts[bin]! * (value - (step - zeroPoint) * scale) ** 2;
    }
    if (error < best.error) best = { error, min, max };
  }
  return best;
}

function sum(values: Float64Array, from: number, to: number): number {
  let total = 0;
  for (let i = from; i < to; i++) total += values[i]!;
  return total;
}
