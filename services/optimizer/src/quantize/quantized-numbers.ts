import { elementCount } from '@modelmill/onnx';
import type { ValueRange } from './value-range.js';

/**
 * The arithmetic of ONNX Runtime's quantizer, to the bit: differences of ranges in float32, quotients in float64, scales
 * stored as float32, and ties rounded to even.
 */

/** A real number is (q − zeroPoint)·scale. */
export interface Scale {
  readonly scale: number;
  readonly zeroPoint: number;
}

const smallestNormal = 2 ** -126;

/** Unsigned eight bits over a range, widened to hold 0. */
export function activationScale({ min, max }: ValueRange): Scale {
  const least = Math.fround(Math.min(min, 0));
  const greatest = Math.fround(Math.max(max, 0));
  const scale = Math.fround(greatest - least) / 255;
  if (scale < smallestNormal) return { scale: 1, zeroPoint: 0 };
  return { scale: Math.fround(scale), zeroPoint: roundToEven(0 - least / scale) };
}

/** Weights, and the axis along which each position has a scale of its own. */
export interface Channels {
  readonly values: Float32Array;
  readonly dims: readonly number[];
  readonly axis: number;
}

/** Signed eight bits, symmetric: a scale per channel maps its largest magnitude to 127, reduced to 64. */
export function weightScales(weights: Channels, reduced = false): Float32Array {
  const largest = new Float32Array(weights.dims[weights.axis]!);
  forEachChannel(weights, (value, channel) => {
    const magnitude = Math.abs(value);
    if (magnitude > largest[channel]!) largest[channel] = magnitude;
  });
  return largest.map((magnitude) => {
    const scale = Math.fround(2 * magnitude) / (reduced ? 128 : 254);
    return scale < smallestNormal ? 1 : scale;
  });
}

/** Clipped to what eight bits hold, or within ± `limit`. */
export function quantizedWeights(weights: Channels, scales: Float32Array, limit?: number): Int8Array {
  const [least, greatest] = limit === undefined ? [-128, 127] : [-limit, limit];
  const quantized = new Int8Array(weights.values.length);
  forEachChannel(weights, (value, channel, i) => {
    quantized[i] = clip(roundToEven(Math.fround(value / scales[channel]!)), least, greatest);
  });
  return quantized;
}

/** What rounding took from weights. */
export function restOf(weights: Channels, scales: Float32Array, rounded: Int8Array): Float32Array {
  const rest = new Float32Array(rounded.length);
  forEachChannel(weights, (value, channel, i) => {
    rest[i] = value - rounded[i]! * scales[channel]!;
  });
  return rest;
}

/** Biases have the products' scale, so that they add up as integers. */
export const biasScales = (inputScale: number, scales: Float32Array): Float32Array =>
  scales.map((scale) => inputScale * scale);

export const quantizedBias = (bias: Float32Array, scales: Float32Array): Int32Array =>
  Int32Array.from(bias, (value, c) => clip(roundToEven(value / scales[c]!), -(2 ** 31), 2 ** 31 - 1));

/** Weight scales enlarged where a bias would not fit into 32 bits of scale inputScale·scale. */
export function roomForBias(bias: Float32Array, inputScale: number, scales: Float32Array): Float32Array {
  return scales.map((scale, c) => {
    const wanted = (1.0001 * 2 * Math.abs(bias[c]!)) / (2 ** 32 - 2);
    const product = inputScale * scale;
    return product < wanted ? scale * (wanted / product) : scale;
  });
}

/** What QuantizeLinear does, where Math.round takes ties up. */
export function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

const clip = (value: number, least: number, greatest: number) => Math.min(Math.max(value, least), greatest);

export function forEachChannel(
  { values, dims, axis }: Channels,
  visit: (value: number, channel: number, i: number) => void,
): void {
  const channels = dims[axis]!;
  const inner = elementCount(dims.slice(axis + 1));
  for (let i = 0; i < values.length;) {
    for (let channel = 0; channel < channels; channel++) {
      for (const end = i + inner; i < end; i++) visit(values[i]!, channel, i);
    }
  }
}
