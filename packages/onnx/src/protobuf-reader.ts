import { OnnxFormatError } from './model.js';

const maxDepth = 100;

/** Bytes that are read where they are wanted, such as a file's. */
export interface ByteSource {
  /** Bytes. */
  readonly size: number;
  read(at: number, length: number): Uint8Array;
}

/** One field of a message. Length-delimited content is a view, not a copy. */
export interface Field {
  readonly number: number;
  readonly wire: 0 | 1 | 2 | 5;
  /** Varint; 0 where `bytes` is set. */
  readonly varint: bigint;
  /** Of `bytes`. */
  readonly length: number;
  /** Read anew at every look where `place` is set. */
  readonly bytes: Uint8Array;
  /** Where content lies that was not read. */
  readonly place?: Place;
}

interface Place {
  readonly source: ByteSource;
  readonly at: number;
  readonly length: number;
}

const empty = new Uint8Array();

const sized = (number: number, wire: 1 | 2 | 5, bytes: Uint8Array): Field => ({
  number,
  wire,
  varint: 0n,
  length: bytes.length,
  bytes,
});

/** The fields of an encoded message, in order. `depth` counts the messages around it. */
export function* fields(bytes: Uint8Array, depth: number): Generator<Field> {
  checkDepth(depth);
  let at = 0;
  const varint = (): bigint => {
    // nearly all are one byte
    const first = bytes[at];
    if (first !== undefined && first < 0x80) {
      at++;
      return BigInt(first);
    }
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new OnnxFormatError('a number breaks off');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new OnnxFormatError('a number is longer than ten bytes');
  };
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw breaksOff(length, bytes.length - at);
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const number = fieldNumber(tag);
    switch (tag & 7) {
      case 0:
        yield { number, wire: 0, varint: varint(), length: 0, bytes: empty };
        break;
      case 1:
        yield sized(number, 1, take(8));
        break;
      case 2:
        yield sized(number, 2, take(Number(varint())));
        break;
      case 5:
        yield sized(number, 5, take(4));
        break;
      default:
        throw new OnnxFormatError(`wire type ${tag & 7}, wants 0, 1, 2 or 5`);
    }
  }
}

function checkDepth(depth: number): void {
  if (depth > maxDepth) throw new OnnxFormatError(`messages are nested more than ${maxDepth} deep`);
}

/** Content longer than this stays where it is until it is looked at. */
const longestRead = 2 ** 12;
/** A tag and a length, ten bytes each at most. */
const headBytes = 20;

/** As `fields`, of a message that lies in a source: long content is not read. */
function* fieldsAt({ source, at: from, length }: Place, depth: number): Generator<Field> {
  checkDepth(depth);
  const end = from + length;
  let window: Uint8Array = empty;
  let windowAt = from;
  const look = (at: number, bytes: number): Uint8Array => {
    if (at + Math.min(bytes, end - at) > windowAt + window.length) {
      windowAt = at;
      window = source.read(at, Math.min(headBytes + longestRead, end - at));
    }
    return window.subarray(at - windowAt, at - windowAt + bytes);
  };
  for (let at = from; at < end;) {
    const head = headOf(look(at, headBytes));
    const place = { source, at: at + head.bytes, length: head.contentBytes };
    if (place.length > longestRead) {
      if (place.length > end - place.at) throw breaksOff(place.length, end - place.at);
      yield placed(head.number, place);
    } else yield* fields(look(at, head.bytes + place.length), depth);
    at = place.at + place.length;
  }
}

const placed = (number: number, place: Place): Field => ({
  number,
  wire: 2,
  varint: 0n,
  length: place.length,
  place,
  get bytes() {
    return place.source.read(place.at, place.length);
  },
});

/** How long a field is; what is wrong with a short one is left to who reads it. */
function headOf(bytes: Uint8Array): { number: number; bytes: number; contentBytes: number } {
  const [tag, tagBytes] = varintAt(bytes, 0);
  const [value, valueBytes] = varintAt(bytes, tagBytes);
  const isSized = (tag & 7) === 2;
  const contentBytes = isSized ? value : ({ 0: valueBytes, 1: 8, 5: 4 }[tag & 7] ?? 0);
  return { number: fieldNumber(tag), bytes: tagBytes + (isSized ? valueBytes : 0), contentBytes };
}

/** A number, and how many bytes it takes; what breaks off ends there. */
function varintAt(bytes: Uint8Array, at: number): [value: number, taken: number] {
  let value = 0;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return [value, i];
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return [value, i + 1];
  }
  return [value, 10];
}

function fieldNumber(tag: number): number {
  const number = Math.floor(tag / 8);
  if (number === 0 || number >= 2 ** 29) throw new OnnxFormatError(`field number ${number}, wants 1 to 2^29-1`);
  return number;
}

const breaksOff = (wanted: number, left: number) =>
  new OnnxFormatError(`a field wants ${wanted} bytes, ${left} are left`);

/** The fields of the message that a field holds. Long content in a source is not read. */
export function fieldsIn(field: Field, depth: number): Generator<Field> {
  return field.place ? fieldsAt(field.place, depth) : fields(content(field), depth);
}

/** The fields of a whole file. */
export const fieldsOf = (file: Uint8Array | ByteSource): Generator<Field> =>
  // a Buffer's slice() is no copy, and the readers of tensors rely on one
  file instanceof Uint8Array
    ? fields(new Uint8Array(file.buffer, file.byteOffset, file.byteLength), 0)
    : fieldsAt({ source: file, at: 0, length: file.size }, 0);
/** The content of a message, or of a field of bytes. */
export const content = (field: Field): Uint8Array => bytesField(field).bytes;

/** A field that has content. */
export function bytesField(field: Field): Field {
  if (field.wire !== 2) throw new OnnxFormatError(`field ${field.number} has wire type ${field.wire}, wants 2`);
  return field;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function text(field: Field): string {
  try {
    return utf8.decode(content(field));
  } catch (cause) {
    if (cause instanceof OnnxFormatError) throw cause;
    throw new OnnxFormatError('a string is not valid UTF-8', { cause });
  }
}

/** A signed 64-bit number; beyond 2^53 the nearest double. */
export function int({ number, varint, wire }: Field): number {
  if (wire !== 0) throw new OnnxFormatError(`field ${number} has wire type ${wire}, wants 0`);
  return Number(BigInt.asIntN(64, varint));
}

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export function float({ number, bytes, wire }: Field): number {
  if (wire !== 5) throw new OnnxFormatError(`field ${number} has wire type ${wire}, wants 5`);
  return view(bytes).getFloat32(0, true);
}

/** Little-endian floats of a repeated field, packed or one, as they lie in the file. */
export function fixed({ number, wire, bytes }: Field, size: 4 | 8): Uint8Array {
  const one = size === 4 ? 5 : 1;
  if (wire !== one && wire !== 2) throw new OnnxFormatError(`field ${number} has wire type ${wire}, wants ${one} or 2`);
  if (bytes.length % size !== 0) throw new OnnxFormatError(`a list of ${size}-byte floats has ${bytes.length} bytes`);
  return bytes;
}

export function pushFloats(field: Field, into: number[]): void {
  const from = view(fixed(field, 4));
  for (let at = 0; at < from.byteLength; at += 4) into.push(from.getFloat32(at, true));
}

/** Takes a 64-bit integer as its halves; bit operations on halves are many times as fast as big integers. */
export type TakeHalves = (low: number, high: number) => void;

/** The integers of a repeated field, packed or one. */
export function eachInt({ number, wire, varint, bytes }: Field, take: TakeHalves): void {
  if (wire === 0) {
    take(Number(BigInt.asIntN(32, varint)), Number(BigInt.asIntN(32, varint >> 32n)));
    return;
  }
  if (wire !== 2) throw new OnnxFormatError(`field ${number} has wire type ${wire}, wants 0 or 2`);
  let low = 0;
  let high = 0;
  let shift = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    const bits = byte & 0x7f;
    if (shift < 28) low |= bits << shift;
    else if (shift === 28) {
      low |= bits << 28;
      high = bits >> 4;
    } else if (shift < 70) high |= bits << (shift - 32);
    else throw new OnnxFormatError('a number is longer than ten bytes');
    if (byte < 0x80) {
      take(low, high);
      low = high = shift = 0;
    } else shift += 7;
  }
  if (shift > 0) throw new OnnxFormatError('a number breaks off');
}

/** Appends integers as numbers, beyond 2^53 the nearest doubles. */
export function pushInts(field: Field, into: number[]): void {
  eachInt(field, (low, high) => into.push(high * 2 ** 32 + (low >>> 0)));
}
