import { exactPowers, mostBefore } from './decimal.js';
import type { NumberList } from './number-list.js';

const [minus, zero] = [0x2d, 0x30] as const;
const wordSize = 2 ** 32;

/**
 * Whole numbers in 64 bits each, as two words, the low one first; undefined where one lies beyond the range. `text` has the
 * list once more: it is read again where a double cannot hold a number.
 */
export function wideIntegers({ values }: NumberList, signed: boolean, text: () => Buffer): Uint32Array | undefined {
  const words = new Uint32Array(2 * values.length); // takes every number modulo 2^32
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!Number.isSafeInteger(value)) return readAgain(text(), words, signed);
    if (value < 0 && !signed) return undefined;
    words[2 * i] = value;
    words[2 * i + 1] = Math.floor(value / wordSize);
  }
  return words;
}

/** The list is known to be one of integers: what is neither digit nor sign parts them. */
function readAgain(text: Buffer, words: Uint32Array, signed: boolean): Uint32Array | undefined {
  for (let at = 0, count = 0; count < words.length; at++) {
    const negative = text[at] === minus;
    if (negative) at++;
    let digit = text[at]! ^ zero;
    if (digit > 9) continue;
    let head = 0; // the digits as an integer, as far as a double holds it
    let tail = 0; // the digits behind
    let tailDigits = 0;
    for (; digit < 10; digit = text[++at]! ^ zero) {
      if (head < mostBefore) head = head * 10 + digit;
      else {
        tail = tail * 10 + digit;
        tailDigits++;
      }
    }
    if (tailDigits > 5) return undefined; // 2^64 has 20 digits
    const shift = exactPowers[tailDigits]!;
    const lower = (head % wordSize) * shift + tail;
    const low = lower % wordSize;
    const high = Math.floor(head / wordSize) * shift + Math.floor(lower / wordSize);
    if (!fits(low, high, negative, signed)) return undefined;
    words[count++] = negative ? -low : low;
    words[count++] = negative ? -high - Number(low > 0) : high;
  }
  return words;
}

function fits(low: number, high: number, negative: boolean, signed: boolean): boolean {
  if (!signed) return negative ? low + high === 0 : high < wordSize;
  return high < wordSize / 2 || (negative && high === wordSize / 2 && low === 0);
}
