import { OnnxFormatError } from './model.js';

const maxDepth = 100;

/** One field of a message. Length-delimited content is a view, not a copy. */
export interface Field {
  readonly number: number;
  readonly wire: 0 | 1 | 2 | 5;
  /** Varint; 0 where `bytes` is set. */
  readonly varint: bigint;
  readonly bytes: Uint8Array;
}

const empty = new Uint8Array();

/** The fields of an encoded message, in order. `depth` counts the messages around it. */
export function* fields(bytes: Uint8Array, depth: number): Generator<Field> {
  if (depth > maxDepth) throw new OnnxFormatError(`messages are nested more than ${maxDepth} deep`);
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
    if (length > bytes.length - at) {
      throw new OnnxFormatError(`a field wants ${length} bytes, ${bytes.length - at} are left`);
    }
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const number = Math.floor(tag / 8);
    if (number === 0 || number >= 2 ** 29) throw new OnnxFormatError(`field number ${number}, wants 1 to 2^29-1`);
    switch (tag & 7) {
      case 0:
        yield { number, wire: 0, varint: varint(), bytes: empty };
        break;
      case 1:
        yield { number, wire: 1, varint: 0n, bytes: take(8) };
        break;
      case 2:
        yield { number, wire: 2, varint: 0n, bytes: take(Number(varint())) };
        break;
      case 5:
        yield { number, wire: 5, varint: 0n, bytes: take(4) };
        break;
      default:
        throw new OnnxFormatError(`wire type ${tag & 7}, wants 0, 1, 2 or 5`);
    }
  }
}

/** The content of a message, or of a field of bytes. */
export function content({ number, wire, bytes }: Field): Uint8Array {
  if (wire !== 2) throw new OnnxFormatError(`field ${number} has wire type ${wire}, wants 2`);
  return bytes;
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
