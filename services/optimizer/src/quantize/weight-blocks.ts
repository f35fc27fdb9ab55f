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
    const most = -min === max ? (values.find((value) => Math.abs(value) === max) ?? 0) : -min > max ? min : max;
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

const [norm, kappa, mostRounds] = [0.7, 1.01, 20];

/**
 * Half-quadratic quantization (Badri and Shaji 2023, https://mobiusml.github.io/hqq_blog): the zero point that makes the
 * sum of |error|^0.7 small, so that a few large weights do not spoil the rest. The scale is that of round to nearest.
 */
export const halfQuadraticGrid: GridOf = (values, form) => {
  const { bits } = form;
  const { scale, zeroPoint } = nearestGrid(values, { ...form, symmetric: false });
  if (scale === 0) return { scale, zeroPoint };
  let best = { scale, zeroPoint };
  let least = Infinity;
  let zero = zeroPoint;
  let beta = 10;
  for (let round = 0; round < mostRounds; round++) {
    let error = 0;
    let next = 0;
    for (const value of values) {
      const step = stepOf(value, { scale, zeroPoint: zero }, bits);
      const off = value - (step - zero) * scale;
      error += Math.abs(off);
      const kept = Math.sign(off) * Math.max(Math.abs(off) - Math.abs(off) ** (norm - 1) / beta, 0);
      next += step - (value - (off === 0 ? 0 : kept)) / scale;
    }
    if (error >= least) break;
    least = error;
    best = { scale, zeroPoint: zero };
    zero = fround(next / values.length);
    beta *= kappa;
  }
  return best;
};

/** Columns looked at together: cache lines of each row that lie side by side, which the processor fetches ahead. */
const abreast = 64;
/** Bytes: blocks of one column that share one are written one after the other. */
const cacheLine = 64;

/** Writes a matrix in blocks. */
export function quantizeBlocks({ values, k, n }: Matrix, form: BlockForm, gridOf: GridOf = nearestGrid): Blocks {
  const { block } = form;
  const blocks = blockCount(k, form);
  const made = emptyBlocks(n, blocks, form);
  const tile = new Float32Array(abreast * block);
  const whole = Array.from({ length: abreast }, (_, c) => tile.subarray(c * block, (c + 1) * block));
  const together = Math.max(1, Math.floor((cacheLine * 8) / (block * form.bits)));
  for (let start = 0; start < blocks; start += together) {
    const end = Math.min(start + together, blocks);
    for (let first = 0; first < n; first += abreast) {
      const columns = Math.min(abreast, n - first);
      for (let b = start; b < end; b++) {
        const from = b * block;
        const rows = Math.min(block, k - from);
        turn(values.subarray(from * n + first), tile, { rows, columns, from: n, to: block });
        for (let c = 0; c < columns; c++) {
          const part = rows === block ? whole[c]! : whole[c]!.subarray(0, rows);
          writeBlock(made, (first + c) * blocks + b, part, gridOf(part, form), form);
        }
      }
    }
  }
  return finished(made, n, blocks, form);
}

/** Columns of a matrix whose rows are `from` apart, one after the other, `to` apart. */
function turn(
  values: Readonly<Float32Array>,
  turned: Float32Array,
  { rows, columns, from, to }: Readonly<Record<'rows' | 'columns' | 'from' | 'to', number>>,
): void {
  for (let i = 0; i < rows; i++) {
    for (let c = 0, at = i * from, into = i; c < columns; c++, into += to) turned[into] = values[at + c]!;
  }
}

/** Blocks in the making: a float for each zero point. */
interface Unfinished {
  readonly packed: Uint8Array;
  readonly scales: Float32Array;
  readonly zeros: Float32Array;
}

const emptyBlocks = (n: number, blocks: number, { bits, block }: BlockForm): Unfinished => ({
  packed: new Uint8Array((n * blocks * block * bits) / 8),
  scales: new Float32Array(n * blocks),
  zeros: new Float32Array(n * blocks),
});

function writeBlock(
  { packed, scales, zeros }: Unfinished,
  at: number,
  part: Float32Array,
  grid: Grid,
  form: BlockForm,
) {
  const { bits, block } = form;
  scales[at] = grid.scale;
  zeros[at] = grid.zeroPoint;
  const { scale, zeroPoint } = grid;
  const inverse = scale === 0 ? 0 : fround(1 / scale);
  const most = 2 ** bits - 1;
  let to = (at * block * bits) / 8;
  // bytes are put together before they are stored: adding to a stored one waits for it
  for (let i = 0; i < part.length; to++) {
    let byte = 0;
    for (let place = 0; place < 8 && i < part.length; place += bits, i++) {
      // stepOf, with what is the same for the whole block taken out
      const step = (fround(fround(part[i]! * inverse) + zeroPoint) + 0.5) | 0;
      byte |= (step < 0 ? 0 : step > most ? most : step) << place;
    }
    packed[to] = byte;
  }
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
