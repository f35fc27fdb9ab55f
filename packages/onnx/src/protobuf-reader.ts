import { OnnxFormatError } from './model.js';

const maxDepth = 100;

/** One field of a message. Length-delimited content is a view, not a copy. */
export interface Field {
  readonly number: number;
  readonly wire: 0 | 1 | 2 | 5;
  /** Varint, or fixed bits; 0 where `bytes` is set. */
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
    if (number === 0) throw new OnnxFormatError('field number 0');
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
        throw new OnnxFormatError(`wire type ${tag & 7}`);
    }
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

export function text({ bytes, wire }: Field): string {
  if (wire !== 2) throw new OnnxFormatError('a string is no string');
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new OnnxFormatError('a string is not valid UTF-8', { cause });
  }
}

/** A signed 64-bit number; beyond 2^53 the nearest double. */
export const int = ({ varint, wire }: Field): number => {
  if (wire !== 0) throw new OnnxFormatError('a number is no number');
  return Number(BigInt.asIntN(64, varint));
};

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export const float = ({ bytes, wire }: Field): number => {
  if (wire !== 5) throw new OnnxFormatError('a float is no float');
  return view(bytes).getFloat32(0, true);
};

/** Repeated numbers, packed or one by one: appends to `into`. */
export function pushInts(field: Field, into: bigint[]): void {
  if (field.wire === 0) into.push(BigInt.asIntN(64, field.varint));
  else if (field.wire === 2) for (const value of packedVarints(field.bytes)) into.push(BigInt.asIntN(64, value));
  else throw new OnnxFormatError('a list of integers is none');
}

export function pushFixed(field: Field, size: 4 | 8, into: number[]): void {
  if (field.bytes.length % size !== 0) throw new OnnxFormatError('a list of floats breaks off');
  const from = view(field.bytes);
  for (let at = 0; at < field.bytes.length; at += size) {
    into.push(size === 4 ? from.getFloat32(at, true) : from.getFloat64(at, true));
  }
}

function* packedVarints(bytes: Uint8Array): Generator<bigint> {
  let value = 0n;
  let shift = 0n;
  for (const byte of bytes) {
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) {
      yield BigInt.asUintN(64, value);
      value = 0n;
      shift = 0n;
    } else if ((shift += 7n) >= 70n) throw new OnnxFormatError('a number is longer than ten bytes');
  }
  if (shift > 0n) throw new OnnxFormatError('a number breaks off');
}
