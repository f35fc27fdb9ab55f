/**
 * Philox 4x32-10 (Salmon, Moraes, Dror and Shaw 2011): four random words that are a function of a 128-bit counter and a
 * 64-bit key. No state: the same place gives the same numbers, in whatever order it is asked.
 */
export function philox(counter: readonly number[], key: readonly number[]): Uint32Array {
  const words = new Uint32Array(4);
  const [c0 = 0, c1 = 0, c2 = 0, c3 = 0] = counter;
  const [k0 = 0, k1 = 0] = key;
  writeBlock(words, 0, c0, c1, c2, c3, k0, k1);
  return words;
}

// Written out, without an array per round: dropout draws tens of thousands of these at every step.
function writeBlock(
  to: Uint32Array,
  at: number,
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
): void {
  for (let round = 0; round < 10; round++) {
    const high0 = highWord(0xd251, 0x1f53, c0);
    const low0 = Math.imul(0xd2511f53, c0);
    const high1 = highWord(0xcd9e, 0x8d57, c2);
    const low1 = Math.imul(0xcd9e8d57, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  to[at] = c0;
  to[at + 1] = c1;
  to[at + 2] = c2;
  to[at + 3] = c3;
}

/** High word of the product of two words, the first given in halves: a 64-bit product does not fit a double. */
function highWord(aHigh: number, aLow: number, b: number): number {
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = (middle & 0xffff) + aLow * bHigh;
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) | 0;
}

export interface CounterRandom {
  /** `count` numbers in [0, 1) of 24 bits, which float32 holds exactly; every `counter` is a sequence of its own. */
  uniform(counter: number, count: number): Float32Array;
  /** 0 … n − 1 in a random order (Fisher and Yates); every `counter` is an order of its own. */
  permutation(n: number, counter?: number): Uint32Array;
}

/** Words drawn at a time: the order of many rows wants many. */
const blockWords = 2 ** 16;

/** Random numbers of one purpose: each `stream` of a seed is independent of the others. */
export function counterRandom(seed: bigint, stream: number): CounterRandom {
  const key = [Number(seed & 0xffffffffn), Number((seed >> 32n) & 0xffffffffn)];
  /** `count` words of a sequence from place `from` on, a multiple of four, and up to three more. */
  const words = (counter: number, count: number, from = 0) => {
    const all = new Uint32Array(4 * Math.ceil(count / 4));
    const low = counter >>> 0;
    const high = Math.floor(counter / 2 ** 32) >>> 0;
    for (let at = 0; at < all.length; at += 4)
      writeBlock(all, at, (from + at) / 4, low, high, stream, key[0]!, key[1]!);
    return all;
  };
  return {
    uniform(counter, count) {
      const numbers = new Float32Array(count);
      const source = words(counter, count);
      for (let i = 0; i < count; i++) numbers[i] = (source[i]! >>> 8) / 2 ** 24;
      return numbers;
    },
    permutation(n, counter = 0) {
      const order = new Uint32Array(n);
      for (let i = 0; i < n; i++) order[i] = i;
      for (let from = 0; from < n - 1; from += blockWords) {
        const source = words(counter, Math.min(blockWords, n - from), from);
        for (let i = n - 1 - from, k = 0; i > 0 && k < blockWords; i--, k++) {
          const j = Math.floor((source[k]! / 2 ** 32) * (i + 1));
          const other = order[j]!;
          order[j] = order[i]!;
          order[i] = other;
        }
      }
      return order;
    },
  };
}
