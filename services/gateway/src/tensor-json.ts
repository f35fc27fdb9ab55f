import { JsonTextError, readLiteral, readString, skipSpace } from './json-text.js';
import type { RawRange } from './json-text.js';

interface Codec {
  /** Bytes of one element; 0 for strings. */
  readonly size: number;
  readonly write: (view: DataView, offset: number, text: string) => void;
  readonly read: (view: DataView, offset: number) => string;
}

const integer = (size: 1 | 2 | 4, lo: number, hi: number, set: string, get: string): Codec => ({
  size,
  write: (view, offset, text) => {
    const value = Number(text);
    if (!/^-?[0-9]+$/.test(text) || value < lo || value > hi) throw notA(text, `an integer from ${lo} to ${hi}`);
    setters[set]!(view, offset, value);
  },
  read: (view, offset) => String(getters[get]!(view, offset)),
});

const setters: Record<string, (view: DataView, offset: number, value: number) => void> = {
  i8: (view, offset, value) => view.setInt8(offset, value),
  i16: (view, offset, value) => view.setInt16(offset, value, true),
  i32: (view, offset, value) => view.setInt32(offset, value, true),
  u8: (view, offset, value) => view.setUint8(offset, value),
  u16: (view, offset, value) => view.setUint16(offset, value, true),
  u32: (view, offset, value) => view.setUint32(offset, value, true),
};
const getters: Record<string, (view: DataView, offset: number) => number> = {
  i8: (view, offset) => view.getInt8(offset),
  i16: (view, offset) => view.getInt16(offset, true),
  i32: (view, offset) => view.getInt32(offset, true),
  u8: (view, offset) => view.getUint8(offset),
  u16: (view, offset) => view.getUint16(offset, true),
  u32: (view, offset) => view.getUint32(offset, true),
};

const wide = (lo: bigint, hi: bigint, signed: boolean): Codec => ({
  size: 8,
  write: (view, offset, text) => {
    if (!/^-?[0-9]{1,20}$/.test(text)) throw notA(text, `an integer from ${lo} to ${hi}`);
    const value = BigInt(text);
    if (value < lo || value > hi) throw notA(text, `an integer from ${lo} to ${hi}`);
    if (signed) view.setBigInt64(offset, value, true);
    else view.setBigUint64(offset, value, true);
  },
  read: (view, offset) => String(signed ? view.getBigInt64(offset, true) : view.getBigUint64(offset, true)),
});

const nonFinite: Readonly<Record<string, number>> = { NaN: NaN, Infinity: Infinity, '-Infinity': -Infinity };

/** -0 keeps its sign; what JSON has no number for is a string. */
const printed = (value: number, digits: (value: number) => string) =>
  Number.isFinite(value) ? (Object.is(value, -0) ? '-0' : digits(value)) : `"${value}"`;

/** The fewest digits that read back as the same float32. */
function shortest32(value: number): string {
  const enough = Math.abs(value) < 2 ** -126 ? 1 : 6; // a float32 keeps any 6 digits, but where it runs out of bits
  for (let precision = enough; precision < 9; precision++) {
    const candidate = Number(value.toPrecision(precision));
    if (Math.fround(candidate) === value) return String(candidate);
  }
  return String(Number(value.toPrecision(9)));
}

function finite(text: string): number {
  if (text in nonFinite) return nonFinite[text]!;
  const value = Number(text);
  if (!Number.isFinite(value)) throw notA(text, 'a number that a double can hold');
  return value;
}

const codecs: Readonly<Record<string, Codec>> = {
  BOOL: {
    size: 1,
    write: (view, offset, text) => {
      if (text !== 'true' && text !== 'false' && text !== '0' && text !== '1') throw notA(text, 'true or false');
      view.setUint8(offset, Number(text === 'true' || text === '1'));
    },
    read: (view, offset) => (view.getUint8(offset) === 0 ? 'false' : 'true'),
  },
  INT8: integer(1, -128, 127, 'i8', 'i8'),
  INT16: integer(2, -32_768, 32_767, 'i16', 'i16'),
  INT32: integer(4, -2_147_483_648, 2_147_483_647, 'i32', 'i32'),
  INT64: wide(-(2n ** 63n), 2n ** 63n - 1n, true),
  UINT8: integer(1, 0, 255, 'u8', 'u8'),
  UINT16: integer(2, 0, 65_535, 'u16', 'u16'),
  UINT32: integer(4, 0, 4_294_967_295, 'u32', 'u32'),
  UINT64: wide(0n, 2n ** 64n - 1n, false),
  FP32: {
    size: 4,
    write: (view, offset, text) => view.setFloat32(offset, finite(text), true),
    read: (view, offset) => printed(view.getFloat32(offset, true), shortest32),
  },
  FP64: {
    size: 8,
    write: (view, offset, text) => view.setFloat64(offset, finite(text), true),
    read: (view, offset) => printed(view.getFloat64(offset, true), String),
  },
};

/** Elements of a tensor as raw little-endian bytes, and the nesting they were written in. */
export interface TensorJson {
  readonly bytes: Uint8Array;
  readonly count: number;
  /** Sizes of the nested arrays; [] for a bare value. Undefined where rows differ in length. */
  readonly nesting: readonly number[] | undefined;
}

/** The datatype cannot travel as JSON. */
export class JsonDatatypeError extends Error {
  override readonly name = 'JsonDatatypeError';
}

/**
 * Reads an array of numbers, booleans or strings, however nested, straight into a tensor's bytes: no object per
 * element, and every literal by the datatype it is for, so that 64-bit integers arrive exactly.
 */
export function readTensorJson(text: string, { from, to }: RawRange, datatype: string): TensorJson {
  const cursor = { at: from };
  const sink = openSink(datatype);
  const shape: (number | undefined)[] = [];
  let ragged = false;

  const readLevel = (depth: number): void => {
    if (depth > 100) throw new JsonTextError('JSON nesting depth exceeds maximum allowed limit (100)');
    skipSpace(text, cursor);
    if (text[cursor.at] !== '[') {
      // a value beside arrays, or deeper than its neighbours
      if (shape.length > depth || (shape.length < depth && sink.count() > 0)) ragged = true;
      readElement(text, cursor, sink);
      return;
    }
    if (shape.length === depth) {
      if (sink.count() > 0) ragged = true;
      shape.push(undefined);
    }
    cursor.at++;
    let length = 0;
    skipSpace(text, cursor);
    if (text[cursor.at] === ']') cursor.at++;
    else {
      for (;;) {
        readLevel(depth + 1);
        length++;
        skipSpace(text, cursor);
        const next = text[cursor.at++];
        if (next === ']') break;
        if (next !== ',') throw new JsonTextError(`invalid JSON at character ${cursor.at - 1}: wanted ',' or ']'`);
      }
    }
    if (shape[depth] === undefined) shape[depth] = length;
    else if (shape[depth] !== length) ragged = true;
  };
  readLevel(0);
  skipSpace(text, cursor);
  if (cursor.at < to) throw new JsonTextError(`invalid JSON at character ${cursor.at}: wanted the end of the data`);
  return { bytes: sink.bytes(), count: sink.count(), nesting: ragged ? undefined : (shape as number[]) };
}

interface Sink {
  readonly strings: boolean;
  add(text: string): void;
  count(): number;
  bytes(): Uint8Array;
}

function readElement(text: string, cursor: { at: number }, sink: Sink): void {
  const first = text[cursor.at];
  if (first === '"') {
    const value = readString(text, cursor);
    // what we print for a number that JSON has none for comes back as it went out
    if (!sink.strings && !(value in nonFinite)) throw notA(JSON.stringify(value), 'a number');
    sink.add(value);
  } else if (sink.strings) throw notA(text.slice(cursor.at, cursor.at + 12), 'a string');
  else if (first === 't' || first === 'f') {
    const word = first === 't' ? 'true' : 'false';
    if (!text.startsWith(word, cursor.at)) throw notA(text.slice(cursor.at, cursor.at + 5), word);
    cursor.at += word.length;
    sink.add(word);
  } else sink.add(readLiteral(text, cursor));
}

function openSink(datatype: string): Sink {
  if (datatype === 'BYTES') {
    const parts: Uint8Array[] = [];
    return {
      strings: true,
      add(text) {
        const value = Buffer.from(text);
        const length = Buffer.alloc(4);
        length.writeUInt32LE(value.length);
        parts.push(length, value);
      },
      count: () => parts.length / 2,
      bytes: () => Buffer.concat(parts),
    };
  }
  const codec = codecs[datatype];
  if (codec === undefined) throw new JsonDatatypeError(datatype);
  let view = new DataView(new ArrayBuffer(64 * codec.size));
  let count = 0;
  return {
    strings: false,
    add(text) {
      if ((count + 1) * codec.size > view.byteLength) {
        const wider = new Uint8Array(view.byteLength * 2);
        wider.set(new Uint8Array(view.buffer));
        view = new DataView(wider.buffer);
      }
      codec.write(view, count++ * codec.size, text);
    },
    count: () => count,
    bytes: () => new Uint8Array(view.buffer, 0, count * codec.size),
  };
}

/** The elements, flat, as a JSON array. */
export function writeTensorJson(datatype: string, bytes: Uint8Array): string {
  return `[${elementsAsJson(datatype, bytes).join(',')}]`;
}

/** The elements, nested as the shape says. */
export function writeNestedJson(datatype: string, bytes: Uint8Array, shape: readonly number[]): string {
  const elements = elementsAsJson(datatype, bytes);
  let at = 0;
  const level = (axis: number): string =>
    axis === shape.length
      ? elements[at++]!
      : `[${Array.from({ length: shape[axis]! }, () => level(axis + 1)).join(',')}]`;
  return level(0);
}

function elementsAsJson(datatype: string, bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (datatype === 'BYTES') {
    const texts: string[] = [];
    const decoder = new TextDecoder('utf-8', { fatal: true });
    for (let at = 0; at < bytes.length;) {
      const length = view.getUint32(at, true);
      try {
        texts.push(JSON.stringify(decoder.decode(bytes.subarray(at + 4, at + 4 + length))));
      } catch (cause) {
        throw new JsonDatatypeError('BYTES that are not UTF-8', { cause });
      }
      at += 4 + length;
    }
    return texts;
  }
  const codec = codecs[datatype];
  if (codec === undefined) throw new JsonDatatypeError(datatype);
  return Array.from({ length: bytes.length / codec.size }, (_, i) => codec.read(view, i * codec.size));
}

const notA = (got: string, wanted: string) => new JsonTextError(`got ${got}, wanted ${wanted}`);
