import { forEachChannel } from '../quantize/quantized-numbers.js';
import type { Channels } from '../quantize/quantized-numbers.js';

export const signValues = ['ternary', 'binary'] as const;
export type SignValues = (typeof signValues)[number];

/** Weights as −1, 0 or 1 times the scale of their channel. */
export interface Signs {
  readonly signs: Int8Array;
  readonly scales: Float32Array;
}

/** Share of the mean magnitude below which a weight becomes 0. */
const threshold = 0.7;

/**
 * Ternary (Li et al. 2016, Ternary weight networks): zero up to Δ = 0.7·E|W|, else the sign times α = E(|W|, where |W| > Δ).
 * Binary (Rastegari et al. 2016, XNOR-Net): the sign times α = E|W|. Δ and α are of each channel.
 */
export function signsOf(weights: Channels, kind: SignValues): Signs {
  const count = weights.dims[weights.axis]!;
  const size = weights.values.length / count;
  const means = new Float64Array(count);
  forEachChannel(weights, (value, channel) => (means[channel]! += Math.abs(value) / size));

  const floors = kind === 'binary' ? new Float64Array(count).fill(-1) : means.map((mean) => threshold * mean);
  const signs = new Int8Array(weights.values.length);
  const sums = new Float64Array(count);
  const kept = new Float64Array(count);
  forEachChannel(weights, (value, channel, i) => {
    if (Math.abs(value) <= floors[channel]!) return;
    signs[i] = value < 0 ? -1 : 1;
    sums[channel]! += Math.abs(value);
    kept[channel]!++;
  });
  return { signs, scales: Float32Array.from(sums, (sum, channel) => (kept[channel] === 0 ? 0 : sum / kept[channel]!)) };
}
