import { mostWords, philox, philoxMask } from './philox.js';
import type { Counter, Key } from './philox.js';

export interface CounterRandom {
  /** `count` numbers in [0, 1) of 24 bits, which float32 holds exactly; every `counter` is a sequence of its own. */
  uniform(counter: number, count: number): Float32Array;
  /** Fills `to` with 0 where the number of that place is below `rate`, and with 1 / (1 − rate) elsewhere. */
  dropoutMask(counter: number, rate: number, to: Float32Array): void;
  /** 0 … n − 1 in a random order (Fisher and Yates); every `counter` is an order of its own. */
  permutation(n: number, counter?: number): Uint32Array;
}

/** Random numbers of one purpose: each `stream` of a seed is independent of the others. */
export function counterRandom(seed: bigint, stream: number): CounterRandom {
  const key: Key = [Number(seed & 0xffffffffn), Number((seed >> 32n) & 0xffffffffn)];
  /** Where the words of a sequence lie from place `from` on, a multiple of four. */
  const placeOf = (counter: number, from: number): Counter => [
    from / 4,
    counter >>> 0,
    Math.floor(counter / 2 ** 32) >>> 0,
    stream,
  ];
  return {
    uniform(counter, count) {
      const numbers = new Float32Array(count);
      for (const { from, size } of pieces(count)) {
        const source = philox(size, placeOf(counter, from), key);
        for (let i = 0; i < size; i++) numbers[from + i] = (source[i]! >>> 8) / 2 ** 24;
      }
      return numbers;
    },
    dropoutMask(counter, rate, to) {
      const values = { below: Math.ceil(rate * 2 ** 24), kept: 1 / (1 - rate) };
      for (const { from, size } of pieces(to.length)) {
        to.set(philoxMask(size, placeOf(counter, from), key, values), from);
      }
    },
    permutation(n, counter = 0) {
      const order = new Uint32Array(n);
      for (let i = 0; i < n; i++) order[i] = i;
      for (const { from, size } of pieces(n - 1)) {
        const source = philox(size, placeOf(counter, from), key);
        for (let i = n - 1 - from, k = 0; k < size; i--, k++) {
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

/** A sequence as it is drawn. */
function* pieces(count: number): Generator<{ from: number; size: number }> {
  for (let from = 0; from < count; from += mostWords) yield { from, size: Math.min(mostWords, count - from) };
}
