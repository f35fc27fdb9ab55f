/**
 * Philox 4x32-10 (Salmon, Moraes, Dror and Shaw 2011): four random words that are a function of a 128-bit counter and a
 * 64-bit key. No state: the same place gives the same numbers, in whatever order it is asked.
 */
export function philox(counter: readonly number[], key: readonly number[]): [number, number, number, number] {
  let [c0 = 0, c1 = 0, c2 = 0, c3 = 0] = counter;
  let [k0 = 0, k1 = 0] = key;
  for (let round = 0; round < 10; round++) {
    const [high0, low0] = wideProduct(0xd2511f53, c0);
    const [high1, low1] = wideProduct(0xcd9e8d57, c2);
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** High and low word of the product of two words: a 64-bit product does not fit a double. */
function wideProduct(a: number, b: number): [high: number, low: number] {
  const low = Math.imul(a, b) >>> 0;
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = (middle & 0xffff) + aLow * bHigh;
  const high = aHigh * bHigh + Math.floor(middle / 0x10000) + (carry >>> 16);
  return [high >>> 0, low];
}

export interface CounterRandom {
  /** `count` numbers in [0, 1) of 24 bits, which float32 holds exactly; every `counter` is a sequence of its own. */
  uniform(counter: number, count: number): Float32Array;
  /** 0 … n − 1 in a random order (Fisher and Yates); every `counter` is an order of its own. */
  permutation(n: number, counter?: number): Uint32Array;
}

/** Random numbers of one purpose: each `stream` of a seed is independent of the others. */
export function counterRandom(seed: bigint, stream: number): CounterRandom {
  const key = [Number(seed & 0xffffffffn), Number((seed >> 32n) & 0xffffffffn)];
  const words = function* (counter: number) {
    for (let block = 0; ; block++) {
      yield* philox([block, counter >>> 0, Math.floor(counter / 2 ** 32) >>> 0, stream >>> 0], key);
    }
  };
  return {
    uniform(counter, count) {
      const numbers = new Float32Array(count);
      const source = words(counter);
      for (let i = 0; i < count; i++) numbers[i] = ((source.next().value as number) >>> 8) / 2 ** 24;
      return numbers;
    },
    permutation(n, counter = 0) {
      const order = Uint32Array.from({ length: n }, (_, i) => i);
      const source = words(counter);
      for (let i = n - 1; i > 0; i--) {
        const j = Math.floor((((source.next().value as number) >>> 0) / 2 ** 32) * (i + 1));
        [order[i], order[j]] = [order[j]!, order[i]!];
      }
      return order;
    },
  };
}
