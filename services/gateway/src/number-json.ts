import { endianness } from 'node:os';
import { floatsAsJson } from './float-text.js';
import type { RawRange } from './json-text.js';
import { readNumberList } from './number-list.js';
import type { NumberList } from './number-list.js';

/**
 * Tensors of numbers without an object per element. It takes what is plain and leaves everything else, faults above all, to
 * the reader and writer that go element by element.
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

/** The numbers in a part of a text, little-endian; undefined where one is no plain number of the datatype. */
export function readNumbers(
  text: string,
  range: RawRange,
  datatype: string,
): { bytes: Uint8Array; count: number; nesting: readonly number[] } | undefined {
  const kind = kindOf(datatype);
  if (kind === undefined) return undefined;
  const list = range.numbers === undefined ? listIn(text.slice(range.from, range.to)) : range.numbers;
  if (!list || (kind.range && !list.whole)) return undefined;
  const numbers = converted(list.values, kind);
  if (numbers === undefined) return undefined;
  const { buffer, byteOffset, byteLength } = numbers;
  return { bytes: new Uint8Array(buffer, byteOffset, byteLength), count: numbers.length, nesting: list.nesting };
}

function listIn(text: string): NumberList | undefined {
  const bytes = Buffer.from(text);
  const list = readNumberList(bytes, 0);
  return list?.to === bytes.length ? list : undefined;
}

/** Undefined where one has another range, or becomes infinite. */
function converted(values: Float64Array, { array, range }: Kind): NumberArray | undefined {
  const numbers = new array(values.length);
  const [lo, hi] = range ?? [-Infinity, Infinity];
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    numbers[i] = value;
    if (value < lo || value > hi || !Number.isFinite(numbers[i])) return undefined;
  }
  return numbers;
}

/** The numbers as a flat JSON array; undefined where the datatype is no number's, or JSON has no form for one of them. */
export function writeNumbers(datatype: string, bytes: Uint8Array): Buffer | undefined {
  const kind = kindOf(datatype);
  if (kind === undefined) return undefined;
  const { array } = kind;
  const size = array.BYTES_PER_ELEMENT;
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  const numbers = new array(aligned.buffer, aligned.byteOffset, aligned.byteLength / size);
  if (numbers instanceof Float32Array) return floatsAsJson(numbers);
  const plain = numbers.every((value) => Number.isFinite(value) && !Object.is(value, -0));
  return plain ? Buffer.from(JSON.stringify(Array.from(numbers))) : undefined;
}
