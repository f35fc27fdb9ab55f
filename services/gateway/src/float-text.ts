import { exactPowers } from './decimal.js';

const longest = 24; // no float32 takes more characters, with a comma before and a bracket behind
const [open, close, comma, minus, point, zero, e] = [0x5b, 0x5d, 0x2c, 0x2d, 0x2e, 0x30, 0x65] as const;
const one = new Float32Array(1);
const oneBits = new Uint32Array(one.buffer);
/** Decimal exponents of the powers of two that a float32 can begin with. */
const exponents = Int8Array.from({ length: 256 }, (_, i) => Math.floor(Math.log10(2) * (i - 127)));
const bounds = Float64Array.from({ length: 256 }, (_, i) => Number(`1e${exponents[i]! + 1}`));

/**
 * Float32s as a JSON array: of each the fewest digits that read back as the same, as ECMAScript prints them. A zero keeps its
 * sign, and what JSON has no number for is a string. The digits go straight into bytes: JSON.stringify would search
 * them again, among those of doubles.
 */
export function floatsAsJson(values: Float32Array): Buffer {
  let text = Buffer.allocUnsafe(12 * values.length + longest);
  let at = 0;
  text[at++] = open;
  for (let i = 0; i < values.length; i++) {
    if (text.length - at < longest) text = Buffer.concat([text], 2 * text.length);
    if (i > 0) text[at++] = comma;
    at = writeFloat(values[i]!, text, at);
  }
  text[at++] = close;
  return text.subarray(0, at);
}

const scratch = Buffer.alloc(longest);

/** One of them alone. */
export const floatAsJson = (value: number): string => scratch.toString('latin1', 0, writeFloat(value, scratch, 0));

function writeFloat(value: number, bytes: Uint8Array, at: number): number {
  one[0] = value;
  if (oneBits[0] === 0) {
    bytes[at] = zero;
    return at + 1;
  }
  const biased = (oneBits[0]! >>> 23) & 0xff;
  const size = Math.abs(value);
  const exponent = exponents[biased]! + Number(size >= bounds[biased]!);
  if (exponent < -13 || exponent > 13) return writeSlowly(value, bytes, at);
  let digits = size;
  let shift = 0;
  if (size > 2 ** 24 || !Number.isInteger(size)) {
    let precision = 6; // a float32 keeps any 6 digits
    do {
      if (precision > 9) return writeSlowly(value, bytes, at);
      shift = precision++ - 1 - exponent;
      // a quotient or product of two exact numbers is the double nearest to the decimal
      digits = Math.round(shift >= 0 ? size * exactPowers[shift]! : size / exactPowers[-shift]!);
    } while (Math.fround(shift >= 0 ? digits / exactPowers[shift]! : digits * exactPowers[-shift]!) !== size);
  }
  if (value < 0) bytes[at++] = minus;
  return writeDecimal(digits, shift, bytes, at);
}

/** Writes digits / 10^shift, which is more than 0 and less than 1e21. */
function writeDecimal(digits: number, shift: number, bytes: Uint8Array, at: number): number {
  let left = digits | 0;
  while (shift > 0 && left % 10 === 0) {
    left = (left / 10) | 0;
    shift--;
  }
  let count = 1;
  for (let bound = 10; left >= bound; bound *= 10) count++;
  if (shift - count >= 6) {
    at = writeDecimal(left, count - 1, bytes, at);
    bytes[at++] = e;
    bytes[at++] = minus;
    return writeDecimal(shift - count + 1, 0, bytes, at);
  }
  const end = at + Math.max(count, shift + 1) + Number(shift > 0);
  const dot = shift > 0 ? end - 1 - shift : -1;
  for (let i = end - 1; i >= at; i--) {
    if (i === dot) bytes[i] = point;
    else {
      bytes[i] = zero + (left % 10);
      left = (left / 10) | 0;
    }
  }
  if (shift >= 0) return end;
  bytes.fill(zero, end, end - shift);
  return end - shift;
}

function writeSlowly(value: number, bytes: Uint8Array, at: number): number {
  const text = Number.isFinite(value) ? (Object.is(value, -0) ? '-0' : String(shortest(value))) : `"${value}"`;
  for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
  return at;
}

function shortest(value: number): number {
  const enough = Math.abs(value) < 2 ** -126 ? 1 : 6; // where a float32 runs out of bits it does not keep 6 digits
  for (let precision = enough; precision < 9; precision++) {
    const candidate = Number(value.toPrecision(precision));
    if (Math.fround(candidate) === value) return candidate;
  }
  return Number(value.toPrecision(9));
}
