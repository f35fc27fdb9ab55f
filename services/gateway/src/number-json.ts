import { endianness } from 'node:os';
import { floatsAsJson } from './float-text.js';
import { integersAsJson } from './integer-text.js';
import type { RawRange } from './json-text.js';
import { readNumberList } from './number-list.js';
import type { NumberList } from './number-list.js';
import { wideIntegers } from './wide-integers.js';

/**
 * Tensors of numbers without an object per element. It takes what is plain and leaves everything else, faults above all, to
 * the reader and writer that go element by element.
 */
interface Kind {
  /** Undefined where one is beyond the datatype. `text` is what the list was read from. */
  read(list: NumberList, text: () => Buffer): NumberArray | undefined;
  /** Undefined where JSON has no form for one. */
  write(bytes: Uint8Array): Buffer | undefined;
}

type NumberArray =
  Float32Array | Float64Array | Int8Array | Int16Array | Int32Array | Uint8Array | Uint16Array | Uint32Array;

interface NumberArrayType<T extends NumberArray> {
  new (length: number): T;
  new (buffer: ArrayBufferLike, offset: number, length: number): T;
  readonly BYTES_PER_ELEMENT: number;
}

/** Without a range: any number that does not become infinite. */
const narrow = (array: NumberArrayType<NumberArray>, range?: readonly [lo: number, hi: number]): Kind => ({
  read: (list) => (range && !list.whole ? undefined : converted(list.values, array, range)),
  write(bytes) {
    const numbers = arrayOver(array, bytes);
    if (numbers instanceof Float32Array) return floatsAsJson(numbers);
    const plain = numbers.every((value) => Number.isFinite(value) && !Object.is(value, -0));
    return plain ? Buffer.from(JSON.stringify(Array.from(numbers))) : undefined;
  },
});

const wide = (signed: boolean): Kind => ({
  read: (list, text) => (list.whole ? wideIntegers(list, signed, text) : undefined),
  write: (bytes) => integersAsJson(arrayOver(Uint32Array, bytes), signed),
});

const kinds: ReadonlyMap<string, Kind> = new Map([
  ['FP32', narrow(Float32Array)],
  ['FP64', narrow(Float64Array)],
  ['INT8', narrow(Int8Array, [-(2 ** 7), 2 ** 7 - 1])],
  ['INT16', narrow(Int16Array, [-(2 ** 15), 2 ** 15 - 1])],
  ['INT32', narrow(Int32Array, [-(2 ** 31), 2 ** 31 - 1])],
  ['INT64', wide(true)],
  ['UINT8', narrow(Uint8Array, [0, 2 ** 8 - 1])],
  ['UINT16', narrow(Uint16Array, [0, 2 ** 16 - 1])],
  ['UINT32', narrow(Uint32Array, [0, 2 ** 32 - 1])],
  ['UINT64', wide(false)],
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
  if (!list) return undefined;
  const numbers = kind.read(list, () => Buffer.from(text.slice(range.from, range.to), 'latin1'));
  if (numbers === undefined) return undefined;
  const { buffer, byteOffset, byteLength } = numbers;
  return { bytes: new Uint8Array(buffer, byteOffset, byteLength), count: list.values.length, nesting: list.nesting };
}

function listIn(text: string): NumberList | undefined {
  const bytes = Buffer.from(text);
  const list = readNumberList(bytes, 0);
  return list?.to === bytes.length ? list : undefined;
}

/** Undefined where one has another range, or becomes infinite. */
function converted(
  values: Float64Array,
  array: NumberArrayType<NumberArray>,
  [lo, hi]: readonly [number, number] = [-Infinity, Infinity],
): NumberArray | undefined {
  const numbers = new array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    numbers[i] = value;
    if (value < lo || value > hi || !Number.isFinite(numbers[i])) return undefined;
  }
  return numbers;
}

function arrayOver<T extends NumberArray>(array: NumberArrayType<T>, bytes: Uint8Array): T {
  const size = array.BYTES_PER_ELEMENT;
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  return new array(aligned.buffer, aligned.byteOffset, aligned.byteLength / size);
}

/** The numbers as a flat JSON array; undefined where the datatype is no number's, or JSON has no form for one of them. */
export const writeNumbers = (datatype: string, bytes: Uint8Array): Buffer | undefined => kindOf(datatype)?.write(bytes);
