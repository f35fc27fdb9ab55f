import { floatAsJson } from './float-text.js';
import { JsonTextError, readLiteral, readString, skipSpace } from './json-text.js';
import type { RawRange } from './json-text.js';
import { nestedText } from './nested-text.js';
import { readNumbers, writeNumbers } from './number-json.js';

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

const nonFinite: ReadonlyMap<string, number> = new Map(
  [NaN, Infinity, -Infinity].map((value) => [String(value), value]),
);

/** -0 keeps its sign; what JSON has no number for is a string. */
const printed = (value: number) =>
  Number.isFinite(value) ? (Object.is(value, -0) ? '-0' : String(value)) : `"${value}"`;

function finite(text: string, rounded: (value: number) => number): number {
  const value = nonFinite.get(text) ?? Number(text);
  if (!Number.isFinite(rounded(value)) && !nonFinite.has(text)) throw notA(text, 'a number that the datatype can hold');
  return value;
}

const codecs = new Map<string, Codec>(
  Object.entries({
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
      write: (view, offset, text) => view.setFloat32(offset, finite(text, Math.fround), true),
      read: (view, offset) => floatAsJson(view.getFloat32(offset, true)),
    },
    FP64: {
      size: 8,
      write: (view, offset, text) => view.setFloat64(offset, finite(text, Number), true),
      read: (view, offset) => printed(view.getFloat64(offset, true)),
    },
  }),
);

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

/** Elements of one tensor that come in several pieces. */
export interface TensorReader {
  /** Adds a piece; returns the nesting it was written in, as `TensorJson` has it. Throws JsonTextError. */
  add(text: string, range: RawRange): readonly number[] | undefined;
  count(): number;
  bytes(): Uint8Array;
}

/**
 * Reads arrays of numbers, booleans or strings, however nested, straight into a tensor's bytes: no object per element,
 * and every literal by the datatype it is for, so that 64-bit integers arrive exactly. Throws JsonDatatypeError.
 */
export function openTensorReader(datatype: string): TensorReader {
  const sink = openSink(datatype);
  return {
    ...sink,
    add(text, range) {
      const numbers = readNumbers(text, range, datatype);
      if (numbers === undefined) return readNested(text, range, sink);
      sink.addBytes(numbers.bytes, numbers.count);
      return numbers.nesting;
    },
  };
}

/** A tensor that comes in one piece. */
export function readTensorJson(text: string, range: RawRange, datatype: string): TensorJson {
  const numbers = readNumbers(text, range, datatype);
  if (numbers !== undefined) return numbers;
  const sink = openSink(datatype);
  const nesting = readNested(text, range, sink);
  return { bytes: sink.bytes(), count: sink.count(), nesting };
}

function readNested(text: string, { from, to }: RawRange, sink: Sink): readonly number[] | undefined {
  const cursor = { at: from };
  const before = sink.count();
  const shape: (number | undefined)[] = [];
  let ragged = false;

  const readLevel = (depth: number): void => {
    if (depth > 100) throw new JsonTextError('JSON nesting depth exceeds maximum allowed limit (100)');
    skipSpace(text, cursor);
    if (text[cursor.at] !== '[') {
      // a value beside arrays, or deeper than its neighbours
      if (shape.length > depth || (shape.length < depth && sink.count() > before)) ragged = true;
      readElement(text, cursor, sink);
      return;
    }
    if (shape.length === depth) {
      if (sink.count() > before) ragged = true;
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
  return ragged ? undefined : (shape as number[]);
}

interface Sink {
  readonly strings: boolean;
  add(text: string): void;
  /** So many elements as their bytes. */
  addBytes(bytes: Uint8Array, elements: number): void;
  count(): number;
  bytes(): Uint8Array;
}

function readElement(text: string, cursor: { at: number }, sink: Sink): void {
  const first = text[cursor.at];
  if (first === '"') {
    const value = readString(text, cursor);
    // what we print for a number that JSON has none for comes back as it went out
    if (!sink.strings && !nonFinite.has(value)) throw notA(JSON.stringify(value), 'a number');
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
  const codec = codecs.get(datatype);
  if (codec === undefined && datatype !== 'BYTES') throw new JsonDatatypeError(datatype);
  let held = Buffer.alloc(64);
  let view = viewOf(held);
  let used = 0;
  let count = 0;
  const room = (bytes: number, elements = 1) => {
    if (used + bytes > held.length) {
      held = Buffer.concat([held, Buffer.alloc(Math.max(held.length, bytes))]);
      view = viewOf(held);
    }
    used += bytes;
    count += elements;
    return used - bytes;
  };
  return {
    strings: codec === undefined,
    add(text) {
      if (codec) {
        const at = room(codec.size); // may renew the view
        return codec.write(view, at, text);
      }
      const length = Buffer.byteLength(text);
      const at = room(4 + length);
      held.writeUInt32LE(length, at);
      held.write(text, at + 4);
    },
    addBytes(bytes, elements) {
      const at = room(bytes.length, elements);
      held.set(bytes, at);
    },
    count: () => count,
    bytes: () => held.subarray(0, used),
  };
}

const viewOf = ({ buffer, byteOffset, byteLength }: Buffer) => new DataView(buffer, byteOffset, byteLength);

/** The elements, flat, as a JSON array. */
export function writeTensorJson(datatype: string, bytes: Uint8Array): Buffer {
  return writeNumbers(datatype, bytes) ?? Buffer.from(`[${elementsAsJson(datatype, bytes).join(',')}]`);
}

/** The elements, nested as the shape says. */
export function writeNestedJson(datatype: string, bytes: Uint8Array, shape: readonly number[]): string {
  const flat = bytes.length > 0 ? writeNumbers(datatype, bytes) : undefined;
  if (flat !== undefined) return nestedText(flat, shape);
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
  const codec = codecs.get(datatype);
  if (codec === undefined) throw new JsonDatatypeError(datatype);
  return Array.from({ length: bytes.length / codec.size }, (_, i) => codec.read(view, i * codec.size));
}

const notA = (got: string, wanted: string) => new JsonTextError(`got ${got}, wanted ${wanted}`);
