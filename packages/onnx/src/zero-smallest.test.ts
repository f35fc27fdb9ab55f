import { zeroSmallest } from './zero-smallest.js';

const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(1 + i));
const kept = (arrays: readonly Float32Array[]) =>
  arrays.flatMap((values) => [...values]).filter((value) => value !== 0);

describe('the smallest of some numbers', () => {
  it.each([
    [1000, 0.5, 500],
    [1001, 0.5, 501],
    [999, 0.9, 100],
    [7, 0.99, 1],
    [3, 0, 3],
  ])('become zero, so that of %i numbers at a sparsity of %f exactly %i stay (case 17)', (count, sparsity, left) => {
    const arrays = [numbers(count).subarray(0, 2), numbers(count).subarray(2)];
    const largest = kept(arrays).sort((a, b) => Math.abs(b) - Math.abs(a));
    zeroSmallest(arrays, sparsity);
    expect(new Set(kept(arrays))).toEqual(new Set(largest.slice(0, left)));
    expect(kept(arrays)).toHaveLength(left);
  });

  it('are the earlier ones of equal magnitude', () => {
    const arrays = [Float32Array.of(1, -1, 2), Float32Array.of(-1, 1, 0.5)];
    zeroSmallest(arrays, 0.5);
    expect(arrays).toEqual([Float32Array.of(0, 0, 2), Float32Array.of(-1, 1, 0)]);
  });

  it('stay zero when they are pruned further', () => {
    const once = numbers(100);
    const twice = numbers(100);
    zeroSmallest([once], 0.8);
    for (const sparsity of [0.3, 0.6, 0.8, 0.8]) zeroSmallest([twice], sparsity);
    expect(twice).toEqual(once);
  });
});
