import { endianness } from 'node:os';
import type { RawRange } from './json-text.js';

/**
 * Tensors of numbers by way of the engine's own JSON, which keeps lists of numbers without an object per element. It
 * takes what is plain and leaves everything else, faults above all, to the reader and writer that go element by element.
 */
interface Kind {
  readonly array: {
    new (length: number): NumberArray;
    new (buffer: ArrayBufferLike, offset: number, length: number): NumberArray;
    readonly BYTES_PER_ELEMENT: number;
  };
  /** Undefined: any number that does not become infinite. */
  readonly range?: readonly [lo: number, hi: number];
}

type NumberArray =
  Float32Array | Float64Array | Int8Array | Int16Array | Int32Array | Uint8Array | Uint16Array | Uint32Array;

const kinds: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ['FP32', { array: Float32Array }],
  ['FP64', { array: Float64Array }],
  ['INT8', { array: Int8Array, range: [-(2 ** 7), 2 ** 7 - 1] }],
  ['INT16', { array: Int16Array, range: [-(2 ** 15), 2 ** 15 - 1] }],
  ['INT32', { array: Int32Array, range: [-(2 ** 31), 2 ** 31 - 1] }],
  ['UINT8', { array: Uint8Array, range: [0, 2 ** 8 - 1] }],
  ['UINT16', { array: Uint16Array, range: [0, 2 ** 16 - 1] }],
  ['UINT32', { array: Uint32Array, range: [0, 2 ** 32 - 1] }],
]);

const kindOf = (datatype: string) => (endianness() === 'LE' ? kinds.get(datatype) : undefined);
const notFloats = /[^0-9\s,.\-+eE[\]]/;
const notIntegers = /[^0-9\s,\-[\]]/;
const deep = /(?:\[\s*){9}/; // no tensor of numbers that is meant has so many axes

/** The numbers in a part of a text, little-endian; undefined where one is no plain number of the datatype. */
export function readNumbers(
  text: string,
  { from, to }: RawRange,
  datatype: string,
): { bytes: Uint8Array; count: number; nesting: readonly number[] | undefined } | undefined {
  const kind = kindOf(datatype);
  if (kind === undefined) return undefined;
  const part = text.slice(from, to);
  if ((kind.range ? notIntegers : notFloats).test(part) || deep.test(part)) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(part);
  } catch {
    return undefined;
  }
  const levels = levelsOf(parsed);
  const numbers = levels && flat(parsed, levels, part.length, kind);
  if (numbers === undefined) return undefined;
  const { buffer, byteOffset, byteLength } = numbers;
  return { bytes: new Uint8Array(buffer, byteOffset, byteLength), count: numbers.length, nesting: levels };
}

/** Sizes along the first elements. */
function levelsOf(value: unknown): number[] | undefined {
  const sizes: number[] = [];
  for (let level = value; Array.isArray(level); level = level[0] as unknown) {
    if (level.length === 0) return undefined;
    sizes.push(level.length);
  }
  return sizes;
}

/** Undefined where some part has another size, or some number another range. */
function flat(
  value: unknown,
  sizes: readonly number[],
  characters: number,
  { array, range }: Kind,
): NumberArray | undefined {
  const count = sizes.reduce((product, size) => product * size, 1);
  if (count > characters) return undefined; // the first elements promise more than there can be
  const numbers = new array(count);
  const [lo, hi] = range ?? [-Infinity, Infinity];
  let at = 0;

  function fill(part: unknown, axis: number): boolean {
    if (axis < sizes.length) {
      if (!Array.isArray(part) || part.length !== sizes[axis]) return false;
      const items = part as readonly unknown[];
      if (axis < sizes.length - 1) return items.every((item) => fill(item, axis + 1));
      for (const item of items) if (!put(item)) return false;
      return true;
    }
    return put(part);
  }
  function put(item: unknown): boolean {
    if (typeof item !== 'number' || item < lo || item > hi) return false;
    numbers[at] = item;
    return Number.isFinite(numbers[at++]);
  }
  return fill(value, 0) ? numbers : undefined;
}

/** The numbers as a flat JSON array; undefined where the datatype is no number's, or JSON has no form for one of them. */
export function writeNumbers(datatype: string, bytes: Uint8Array): string | undefined {
  const kind = kindOf(datatype);
  if (kind === undefined) return undefined;
  const { array } = kind;
  const size = array.BYTES_PER_ELEMENT;
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  const numbers = new array(aligned.buffer, aligned.byteOffset, aligned.byteLength / size);
  const printed: number[] = new Array<number>(numbers.length).fill(0.5); // a list of doubles from the start
  for (let i = 0; i < numbers.length; i++) {
    const value = numbers[i]!;
    if (!Number.isFinite(value) || Object.is(value, -0)) return undefined;
    printed[i] = datatype === 'FP32' ? shortest32(value) : value;
  }
  return JSON.stringify(printed);
}

const powers = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`)); // all that are exact

/** The double with the fewest digits that reads back as the same float32. */
export function shortest32(value: number): number {
  if (Number.isInteger(value) && Math.abs(value) <= 2 ** 24) return value;
  const exponent = Math.floor(Math.log10(Math.abs(value)));
  if (exponent < -13 || exponent > 13) return shortest32ByText(value);
  for (let precision = 6; precision < 10; precision++) {
    const shift = precision - 1 - exponent;
    // a quotient or product of two exact numbers is the double nearest to the decimal
    const candidate =
      shift >= 0
        ? Math.round(value * powers[shift]!) / powers[shift]!
        : Math.round(value / powers[-shift]!) * powers[-shift]!;
    if (Math.fround(candidate) === value) return candidate;
  }
  return shortest32ByText(value);
}

function shortest32ByText(value: number): number {
  const enough = Math.abs(value) < 2 ** -126 ? 1 : 6; // a float32 keeps any 6 digits, but where it runs out of bits
  for (let precision = enough; precision < 9; precision++) {
    const candidate = Number(value.toPrecision(precision));
    if (Math.fround(candidate) === value) return candidate;
  }
  return Number(value.toPrecision(9));
}
