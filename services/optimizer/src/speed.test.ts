import { percentile, speedInWords, speedMetrics, speedOf } from './speed.js';

it.each([
  [[5], 0.99, 5],
  [[3, 1, 2, 4], 0.5, 2],
  [Array.from({ length: 100 }, (_, i) => 100 - i), 0.99, 99],
  [Array.from({ length: 1000 }, (_, i) => i + 1), 0.5, 500],
])('the percentile of %j at %f is of nearest rank: %f', (times, share, value) =>
  expect(percentile(times, share)).toBe(value),
);

/** Pairs in which the machine is slow now and then, for both. */
const pairs = (factor: number, spread: number) => {
  const parent = Array.from({ length: 400 }, (_, i) => (i % 7 === 0 ? 30 : 3));
  return [parent, parent.map((time, i) => (time / factor) * (1 + spread * Math.sin(i)))] as const;
};

describe('the speed of a candidate', () => {
  it.each([
    [2, 0.05, 'faster', /^2\.0\d times faster \(1\.9\d to 2\.0\d\)$/],
    [0.5, 0.05, 'slower', /^2\.0\d times slower \(1\.9\d to 2\.0\d\)$/],
    [1.05, 0.2, 'noise', /^as fast within noise \(0\.\d\d to 1\.\d\d times as fast\)$/],
    [1.004, 0, 'noise', /^as fast within noise \(1\.00 to 1\.00 times as fast\)$/],
  ] as const)('at %f times its parent, give or take %f, is %s', (factor, spread, verdict, words) => {
    const speed = speedOf(...pairs(factor, spread));
    expect(speed.verdict).toBe(verdict);
    expect(speed.ratio).toBeCloseTo(factor, 1);
    expect(speedInWords(speed)).toMatch(words);
    expect(speedMetrics(speed)).toEqual({
      speedup: speed.ratio,
      speedup_low: speed.low,
      speedup_high: speed.high,
      slower_than_parent: verdict === 'slower' ? 1 : 0,
    });
  });
});
