import { readDecimal } from './decimal.js';

/** Numbers in nested lists of equal lengths. */
export interface NumberList {
  readonly values: Float64Array;
  /** Sizes along the axes. */
  readonly nesting: readonly number[];
  /** None has a point or an exponent. */
  readonly whole: boolean;
  /** Behind the last bracket. */
  readonly to: number;
}

const mostAxes = 8; // no tensor of numbers that is meant has more
/** What is read goes here first: a request may have ten thousands of short lists. */
const few = new Float64Array(64);
const [open, close, comma] = [0x5b, 0x5d, 0x2c] as const;

/**
 * Reads the list that begins at a byte of a JSON text, in one pass and without an object per element. It takes what is plain:
 * undefined for empty lists, rows of different lengths, anything that is no number, and faults.
 */
export function readNumberList(bytes: Buffer, from: number): NumberList | undefined {
  if (bytes[from] !== open) return undefined;
  const cursor = { at: from, whole: true };
  const sizes: number[] = []; // of the lists that ended, by axis
  const lengths: number[] = []; // of the lists that are open
  let values = few;
  let count = 0;
  let depth = 0;

  for (;;) {
    for (; behindSpace(bytes, cursor) === open; cursor.at++) {
      if (depth === (count === 0 ? mostAxes : lengths.length)) return undefined;
      lengths[depth++] = 0;
    }
    const value = readDecimal(bytes, cursor);
    if (Number.isNaN(value) || depth !== lengths.length) return undefined;
    if (count === values.length) values = twiceAsLong(values);
    values[count++] = value;
    lengths[depth - 1]!++;
    for (; behindSpace(bytes, cursor) !== comma; cursor.at++) {
      if (bytes[cursor.at] !== close) return undefined;
      const length = lengths[--depth]!;
      if ((sizes[depth] ??= length) !== length) return undefined;
      if (depth === 0) {
        const { at, whole } = cursor;
        const own = values === few ? few.slice(0, count) : values.subarray(0, count);
        return { values: own, nesting: sizes, whole, to: at + 1 };
      }
      lengths[depth - 1]!++;
    }
    cursor.at++;
  }
}

function twiceAsLong(values: Float64Array): Float64Array<ArrayBuffer> {
  const longer = new Float64Array(values.length * 2);
  longer.set(values);
  return longer;
}

/** The next byte that is no space; the cursor goes there. */
function behindSpace(bytes: Uint8Array, cursor: { at: number }): number | undefined {
  for (;;) {
    const byte = bytes[cursor.at];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
    cursor.at++;
  }
}
