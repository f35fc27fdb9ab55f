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

/** The integers that a range is mapped to. */
export interface Steps {
  readonly least: number;
  readonly greatest: number;
  /** Whether 0 is in the middle, and the range is widened to be as long on both sides. */
  readonly symmetric: boolean;
}

const unsigned: Steps = { least: 0, greatest: 255, symmetric: false };
const signed: Steps = { least: -127, greatest: 127, symmetric: true };
const signed7: Steps = { least: -64, greatest: 64, symmetric: true };

/** ONNX Runtime's `compute_scale_zp`: over a range, widened to hold 0 and to be `shortest` long at least. */
export function scaleOver({ min, max }: ValueRange, { least, greatest, symmetric }: Steps, shortest = 0): Scale {
  let low = Math.fround(Math.min(min, 0));
  let high = Math.fround(Math.max(max, 0, low + shortest));
  if (symmetric) {
    high = Math.max(-low, high);
    low = -high;
  }
  const scale = Math.fround(high - low) / (greatest - least);
  if (scale < smallestNormal) return { scale: 1, zeroPoint: 0 };
  const zeroPoint = roundToEven(symmetric ? (least + greatest) / 2 : least - low / scale);
  return { scale: Math.fround(scale), zeroPoint };
}

/** Unsigned eight bits over a range. */
export const activationScale = (range: ValueRange): Scale => scaleOver(range, unsigned);

/** Weights, and the axis along which each position has a scale of its own. */
export interface Channels {
  readonly values: Readonly<Float32Array>;
  readonly dims: readonly number[];
  readonly axis: number;
}

/** Signed eight bits, symmetric: a scale per channel maps its largest magnitude to 127, reduced to 64. */
export function weightScales({ values, dims, axis }: Channels, reduced = false): Float32Array {
  const channels = dims[axis]!;
  const inner = elementCount(dims.slice(axis + 1));
  const largest = new Float32Array(channels);
  for (let i = 0; i < values.length;) {
    for (let channel = 0; channel < channels; channel++) {
      let most = largest[channel]!;
      for (const end = i + inner; i < end; i++) {
        const magnitude = Math.abs(values[i]!);
        if (magnitude > most) most = magnitude;
      }
      largest[channel] = most;
    }
  }
  const steps = reduced ? signed7 : signed;
  return largest.map((magnitude) => scaleOver({ min: -magnitude, max: magnitude }, steps).scale);
}

export function quantizedWeights({ values, dims, axis }: Channels, scales: Float32Array, limit?: number): Int8Array {
  const [least, greatest] = limit === undefined ? [-128, 127] : [-limit, limit];
  const channels = dims[axis]!;
  const inner = elementCount(dims.slice(axis + 1));
  const quantized = new Int8Array(values.length);
  for (let i = 0; i < values.length;) {
    for (let channel = 0; channel < channels; channel++) {
      const scale = scales[channel]!;
      for (const end = i + inner; i < end; i++) {
        quantized[i] = clip(roundToEven(Math.fround(values[i]! / scale)), least, greatest);
      }
    }
  }
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

/** Doubles from here on are whole numbers. */
const whole = 1.5 * 2 ** 52;

/** What QuantizeLinear does, where Math.round takes ties up; of magnitudes below 2^51. */
export const roundToEven = (value: number): number => value + whole - whole;

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
