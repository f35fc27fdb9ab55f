import { columnsTogether, kernelColumns } from './block-kernel.js';

/** A matrix [k, n], row-major, as a MatMul takes it on its right. */
export interface Matrix {
  /** May be read and computed at every look. */
  readonly values: Readonly<Float32Array>;
  readonly k: number;
  readonly n: number;
}

/** What MatMulNBits has on the CPU. */
export type Bits = 2 | 4 | 8;

export interface BlockForm {
  readonly bits: Bits;
  /** Weights along k that share a scale: a power of two of at least 16. */
  readonly block: number;
  /** Whether zero is in the middle of every block's range; otherwise each block has a zero point. */
  readonly symmetric: boolean;
}

/** What MatMulNBits of com.microsoft takes; the first weight along k lies in the low bits. */
export interface Blocks {
  /** [n, blocks, block · bits / 8] */
  readonly packed: Uint8Array;
  /** [n, blocks] */
  readonly scales: Float32Array;
  /** [n, ⌈blocks · bits / 8⌉], or [n, blocks] where they are no whole steps; undefined: 2^(bits − 1) everywhere. */
  readonly zeroPoints: Uint8Array | Float32Array | undefined;
}

/** How one block's weights are written: a weight is (q − zeroPoint) · scale. */
export interface Grid {
  readonly scale: number;
  readonly zeroPoint: number;
}

/** Finds the grid of one block. */
export type GridOf = (block: Float32Array, form: BlockForm) => Grid;

export const blockCount = (k: number, { block }: BlockForm): number => Math.ceil(k / block);

const { fround } = Math;

/** Ties away from zero, as C's roundf has them. */
export const roundAway = (value: number): number => Math.sign(value) * Math.round(Math.abs(value));

/**
 * Round to nearest, to the byte what ONNX Runtime's quantizer writes. Symmetric: the weight of largest magnitude lies on
 * the end of the range, so that a scale may be negative. Otherwise the range is min to max, widened to hold 0.
 */
export const nearestGrid: GridOf = (values, { bits, symmetric }) => {
  let min = 0;
  let max = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    min = value < min ? value : min;
    max = value > max ? value : max;
  }
  if (symmetric) {
    const isTie = -min === max && max > 0;
    const most = isTie ? values.find((value) => Math.abs(value) === max)! : -min > max ? min : max;
    return { scale: fround(most / -(2 ** (bits - 1))), zeroPoint: 2 ** (bits - 1) };
  }
  const scale = fround(fround(max - min) / (2 ** bits - 1));
  const zero = scale === 0 ? 0 : fround(0 - fround(min / scale));
  return { scale, zeroPoint: Math.min(Math.max(roundAway(zero), 0), 2 ** bits - 1) };
};

/** The nearest step of a grid, in float32 as ONNX Runtime rounds; below 0, which is cut off, ties do not matter. */
export function stepOf(value: number, { scale, zeroPoint }: Grid, bits: number): number {
  const inverse = scale === 0 ? 0 : fround(1 / scale);
  const step = Math.floor(fround(fround(value * inverse) + zeroPoint) + 0.5);
  return Math.min(Math.max(step, 0), 2 ** bits - 1);
}

/**
 * Writes a matrix in blocks, rounded to nearest or by half-quadratic quantization (Badri and Shaji 2023,
 * https://mobiusml.github.io/hqq_blog): the zero points that make the sum of |error|^0.7 small, so that a few large weights
 * of a block do not spoil the rest. The scales are those of round to nearest, not symmetric.
 */
export function quantizeBlocks(
  { values, k, n }: Matrix,
  form: BlockForm,
  method: 'nearest' | 'hqq' = 'nearest',
): Blocks {
  const { bits, block, symmetric } = form;
  const blocks = blockCount(k, form);
  const bytes = (block * bits) / 8;
  const packed = new Uint8Array(n * blocks * bytes);
  const scales = new Float32Array(n * blocks);
  const zeros = new Float32Array(n * blocks);
  const together = columnsTogether(k, n);
  for (let first = 0; first < n; first += together) {
    const columns = Math.min(together, n - first);
    const part = kernelColumns({ k, block, bits }, columns);
    if (columns === n && part.width === n) part.values.set(values);
    else {
      for (let i = 0; i < k; i++) {
        part.values.set(values.subarray(i * n + first, i * n + first + columns), i * part.width);
      }
    }
    part.findGrids(symmetric);
    if (method === 'hqq') part.searchZeros();
    part.write();
    const to = first * blocks;
    scales.set(part.scales.subarray(0, columns * blocks), to);
    zeros.set(part.zeros.subarray(0, columns * blocks), to);
    packed.set(part.packed.subarray(0, columns * blocks * bytes), to * bytes);
  }
  return finished({ packed, scales, zeros }, n, blocks, form);
}

/** Blocks in the making: a float for each zero point. */
interface Unfinished {
  readonly packed: Uint8Array;
  readonly scales: Float32Array;
  readonly zeros: Float32Array;
}

function finished({ packed, scales, zeros }: Unfinished, n: number, blocks: number, form: BlockForm): Blocks {
  if (form.symmetric) return { packed, scales, zeroPoints: undefined };
  const whole = zeros.every(Number.isInteger);
  return { packed, scales, zeroPoints: whole ? packedZeros(zeros, n, blocks, form.bits) : zeros };
}

/** A matrix on its grids: steps [k, n], and a scale and a zero point for each block, [n, blocks]. */
export interface Steps {
  readonly steps: Uint8Array;
  readonly scales: Float32Array;
  readonly zeros: Float32Array;
}

export function packBlocks(
  { k, n }: Pick<Matrix, 'k' | 'n'>,
  form: BlockForm,
  { steps, scales, zeros }: Steps,
): Blocks {
  const { bits, block } = form;
  const blocks = blockCount(k, form);
  const packed = new Uint8Array((n * blocks * block * bits) / 8);
  for (let column = 0; column < n; column++) {
    const at = (column * blocks * block * bits) / 8;
    for (let i = 0; i < k; i++) put(packed, at, i, steps[i * n + column]!, bits);
  }
  return finished({ packed, scales, zeros }, n, blocks, form);
}

/** Rows of zero points; what is left over of a row's last byte is 2^(bits − 1), too. */
function packedZeros(zeros: Float32Array, n: number, blocks: number, bits: Bits): Uint8Array {
  const width = Math.ceil((blocks * bits) / 8);
  const bytes = new Uint8Array(n * width);
  for (let column = 0; column < n; column++) {
    for (let b = 0; b < (width * 8) / bits; b++) {
      put(bytes, column * width, b, b < blocks ? zeros[column * blocks + b]! : 2 ** (bits - 1), bits);
    }
  }
  return bytes;
}

function put(bytes: Uint8Array, from: number, i: number, step: number, bits: Bits): void {
  const at = i * bits;
  bytes[from + (at >> 3)]! |= step << (at & 7);
}
