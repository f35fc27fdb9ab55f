import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { batches } from './batches.js';
import { counterRandom } from './counter-random.js';
import { sourceDigest } from './gen/philox-kernel.js';
import { fitNormalization } from './normalization.js';
import { mostWords, philox } from './philox.js';
import type { Counter, Key } from './philox.js';
import { calibrationRows, splitRows } from './split.js';
import { tableOf } from './table.js';

const hex = (words: Uint32Array) => Array.from(words, (word) => word.toString(16).padStart(8, '0')).join(' ');

// toEqual takes seconds for so many
const sameBits = (a: Float32Array, b: Float32Array) =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));

describe('philox', () => {
  // the known answers published with Random123 (kat_vectors, philox4x32 10)
  it.each<[Counter, Key, string]>([
    [[0, 0, 0, 0], [0, 0], '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    [[0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], '408f276d 41c83b0e a20bc7c6 6d5451fd'],
    [[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], 'd16cfe09 94fdcceb 5001e420 24126ea1'],
  ])('gives the published words for %j', (counter, key, words) => expect(hex(philox(4, counter, key))).toBe(words));

  it('gives at every place of a sequence what that counter gives alone', () => {
    const key: Key = [0x12345678, 0x9abcdef0];
    // passes 2³² and so begins at 0 again
    const first = 2 ** 32 - 5;
    const all = Uint32Array.from(philox(41, [first, 2, 3, 4], key));
    for (let block = 0; block < 10; block++) {
      const alone = philox(4, [(first + block) % 2 ** 32, 2, 3, 4], key);
      expect([...all.subarray(4 * block, 4 * block + 4)]).toEqual([...alone]);
    }
    expect(all[40]).toBe(philox(1, [5, 2, 3, 4], key)[0]);
  });

  it('is a kernel that is compiled from today’s source (sh tools/compile-kernel.sh)', () => {
    const digest = createHash('sha256');
    for (const file of ['../assembly/philox.ts', '../../../tools/compile-kernel.sh']) {
      digest.update(readFileSync(fileURLToPath(new URL(file, import.meta.url))));
    }
    expect(sourceDigest).toBe(digest.digest('hex'));
  });
});

describe('counterRandom', () => {
  it('gives the same numbers at the same place, and others elsewhere', () => {
    const random = counterRandom(7n, 1);
    expect(random.uniform(3, 5)).toEqual(counterRandom(7n, 1).uniform(3, 5));
    expect(random.uniform(3, 5)).not.toEqual(random.uniform(4, 5));
    expect(random.uniform(3, 5)).not.toEqual(counterRandom(7n, 2).uniform(3, 5));
  });

  it('gives the numbers of a place whatever is drawn with them', () => {
    const random = counterRandom(2n ** 63n + 9n, 7);
    const long = random.uniform(2 ** 40 + 3, 2 * mostWords + 21);
    for (const count of [1, 4, 17, mostWords, mostWords + 1]) {
      expect(sameBits(random.uniform(2 ** 40 + 3, count), long.subarray(0, count))).toBe(true);
    }
    // where the second piece begins
    const words = philox(4, [mostWords / 4, 3, 2 ** 8, 7], [9, 2 ** 31]);
    expect([...long.subarray(mostWords, mostWords + 4)]).toEqual(Array.from(words, (word) => (word >>> 8) / 2 ** 24));
  });

  it.each([0.1, 0.5, 1 / 3, 2 ** -24, 1 - 2 ** -24, 0])('drops with a share of %d what is below it', (rate) => {
    const random = counterRandom(5n, 51);
    const mask = new Float32Array(mostWords + 1_003);
    random.dropoutMask(3, rate, mask);
    const kept = Math.fround(1 / (1 - rate));
    const wanted = random.uniform(3, mask.length).map((number) => (number < rate ? 0 : kept));
    expect(sameBits(mask, wanted)).toBe(true);
  });

  it('orders as it always did', () => {
    expect([...counterRandom(1n, 3).permutation(10, 2)]).toEqual([7, 8, 2, 3, 9, 6, 5, 1, 4, 0]);
    const order = counterRandom(1n, 3).permutation(70_000);
    expect(createHash('sha256').update(order).digest('hex')).toBe(
      'c7653fcefcd4a77f323ef746c4d18dfd1aac351b6d503e41efb72c1106bcb42a',
    );
  });

  it('is uniform on [0, 1)', () => {
    const numbers = counterRandom(1n, 0).uniform(0, 100_000);
    const mean = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
    expect(mean).toBeCloseTo(0.5, 2);
    expect(numbers.every((value) => value >= 0 && value < 1)).toBe(true);
  });
});

describe('splits and batches', () => {
  const table = tableOf({
    featureShape: [2],
    featureNames: ['a', 'b'],
    target: 'y',
    classes: undefined,
    features: Float32Array.from({ length: 20 }, (_, i) => i),
    targets: Float32Array.from({ length: 10 }, (_, i) => i),
  });
  const all = Uint32Array.from({ length: 10 }, (_, i) => i);
  const options = { batchSize: 3, seed: 1n, shuffle: true, dropLast: true };

  it('deal every row once, the same way for the same seed', () => {
    const splits = { train: 0.6, validation: 0.2, test: 0.2, seed: 5n };
    const dealt = splitRows(10, splits);
    expect([...dealt.train, ...dealt.validation, ...dealt.test].sort()).toEqual([...all]);
    expect(dealt.train).toHaveLength(6);
    expect(splitRows(10, splits)).toEqual(dealt);
    expect(splitRows(10, { ...splits, seed: 6n })).not.toEqual(dealt);
  });

  it('refuse shares that do not add up', () =>
    expect(() => splitRows(10, { train: 0.6, validation: 0, test: 0.2, seed: 0n })).toThrow('add up to 1'));

  it('come in another order every epoch, and go on where they were left', () => {
    const order = (epoch: number, skip = 0) =>
      [...batches(table, all, { ...options, epoch, skip })].map(({ rows }) => [...rows]);
    expect(order(0)).toHaveLength(3);
    expect(order(0)).not.toEqual(order(1));
    expect(order(0, 1)).toEqual(order(0).slice(1));
  });

  it('hold the features and targets of their rows', () => {
    for (const { features, targets, rows } of batches(table, all, { ...options, epoch: 2 })) {
      expect([...targets]).toEqual([...rows]);
      expect([...features]).toEqual([...rows].flatMap((row) => [2 * row, 2 * row + 1]));
    }
  });

  it('normalize to zero mean and unit variance, or to [0, 1]', () => {
    const { offset, scale } = fitNormalization(table, all, 'standard')!;
    expect([...offset]).toEqual([9, 10]);
    expect(scale[0]).toBeCloseTo(1 / Math.sqrt(33), 6);
    const minmax = fitNormalization(table, all, 'minmax')!;
    expect([minmax.offset[0], minmax.scale[0]]).toEqual([0, Math.fround(1 / 19)]);
    expect(fitNormalization(table, all, 'none')).toBeUndefined();
  });

  it('give calibration rows without repetition', () => expect(new Set(calibrationRows(all, 7, 3n)).size).toBe(7));
});
