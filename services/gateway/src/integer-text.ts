const longest = 22; // no integer of 64 bits takes more characters, with a comma before and a bracket behind
const [open, close, comma, minus, zero] = [0x5b, 0x5d, 0x2c, 0x2d, 0x30] as const;
const nineDigits = 1_000_000_000; // beyond them; nine are as many as 31 bits hold

/** Integers of 64 bits, each as two words with the low one first, as a JSON array of all their digits. */
export function integersAsJson(words: Uint32Array, signed: boolean): Buffer {
  let text = Buffer.allocUnsafe(4 * words.length + longest);
  let at = 0;
  text[at++] = open;
  for (let i = 0; i < words.length; i += 2) {
    if (text.length - at < longest) text = Buffer.concat([text], 2 * text.length);
    if (i > 0) text[at++] = comma;
    let low = words[i]!;
    let high = words[i + 1]!;
    if (signed && high >= 2 ** 31) {
      text[at++] = minus;
      low = -low >>> 0;
      high = (~high + Number(low === 0)) >>> 0;
    }
    at = high < 2 ** 21 ? writeSafe(high * 2 ** 32 + low, text, at) : writeWide(low, high, text, at);
  }
  text[at++] = close;
  return text.subarray(0, at);
}

/** What a double holds exactly. */
function writeSafe(value: number, bytes: Uint8Array, at: number): number {
  if (value >= nineDigits) {
    const front = Math.floor(value / nineDigits);
    at = writeSafe(front, bytes, at);
    return fill(value - front * nineDigits, bytes, at, at + 9);
  }
  let count = 1;
  for (let bound = 10; value >= bound; bound *= 10) count++;
  return fill(value, bytes, at, at + count);
}

/** Divided as on paper, 16 bits at a time. */
function writeWide(low: number, high: number, bytes: Uint8Array, at: number): number {
  let front = 0;
  let left = 0;
  for (const digit of [high >>> 16, high & 0xffff, low >>> 16, low & 0xffff]) {
    const part = left * 2 ** 16 + digit;
    const quotient = Math.floor(part / nineDigits);
    front = front * 2 ** 16 + quotient;
    left = part - quotient * nineDigits;
  }
  at = writeSafe(front, bytes, at);
  return fill(left, bytes, at, at + 9);
}

/** The last digits of a number below 2^31, and zeros before them. */
function fill(value: number, bytes: Uint8Array, from: number, to: number): number {
  let left = value | 0;
  for (let at = to - 1; at >= from; at--) {
    bytes[at] = zero + (left % 10);
    left = (left / 10) | 0;
  }
  return to;
}
