import { leastExcess, quantile, quantileLimits, shareLimits } from './confidence.js';
import { createErrorWindow } from './error-window.js';
import { createTimeWindow } from './time-window.js';

const twoSided95 = 1.959964;

describe('confidence', () => {
  it('agrees with the published limits of a share (Newcombe 1998, 81 of 263)', () => {
    const { low, high } = shareLimits({ count: 81, of: 263 }, twoSided95);
    expect(low).toBeCloseTo(0.2553, 4);
    expect(high).toBeCloseTo(0.3662, 4);
  });

  it('agrees with the published lower limit of a difference (Newcombe 1998, 56 of 70 and 48 of 80)', () => {
    expect(leastExcess({ count: 56, of: 70 }, { count: 48, of: 80 }, twoSided95)).toBeCloseTo(0.0524, 4);
  });

  it('takes the 40th and the 61st of 100 as limits of their median, and has none of too few', () => {
    const grown = Array.from({ length: 100 }, (_, index) => index + 1);
    expect(quantileLimits(grown, 0.5, twoSided95)).toEqual({ low: 40, high: 61 });
    expect(quantile(grown, 0.99)).toBe(100);
    expect(quantileLimits(grown, 0.99).high).toBe(Infinity);
    expect(
      quantileLimits(
        Array.from({ length: 750 }, (_, index) => index),
        0.99,
      ).high,
    ).toBeLessThan(Infinity);
    expect(quantileLimits([1, 2], 0.5)).toEqual({ low: 0, high: Infinity });
    expect(shareLimits({ count: 0, of: 0 })).toEqual({ low: 0, high: 1 });
  });
});

/** Numbers from 0 to 1, always the same ones (mulberry32). */
function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const versions = { trial: '2', other: '1' };
const windows = 50;

/** Of so many windows of 200 requests on trial and 1800 others, how many are a breach. */
function breachesByErrors(bound: number, trialShare: number, otherShare: number): number {
  const next = random(1);
  const window = createErrorWindow(bound, 200, versions);
  let breaches = 0;
  for (let turn = 0; turn < windows; turn++) {
    for (let i = 0; i < 1800; i++) window.add('other', next() < otherShare);
    for (let i = 0; i < 200; i++) window.add('trial', next() < trialShare);
    if (window.decide()) breaches++;
  }
  return breaches;
}

/** The same, with times of one distribution and a factor. */
function breachesByTime(of: 'p50' | 'p99', bound: number, factor: number): number {
  const next = random(2);
  const ms = () => Math.exp(0.5 * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())); // log-normal
  const window = createTimeWindow({ quantile: of, ratio: bound }, 200, versions);
  let breaches = 0;
  for (let turn = 1; turn <= windows; turn++) {
    for (let i = 0; i < 1800; i++) window.add('other', { rows: 1, ms: ms() });
    for (let i = 0; i < 200; i++) window.add('trial', { rows: 1, ms: factor * ms() });
    if (window.decide(200 * turn, [])) breaches++;
  }
  return breaches;
}

describe('of 50 windows of 200 requests', () => {
  it('about none is a breach where the versions are alike or just within the bound', () => {
    expect(breachesByErrors(0, 0.02, 0.02)).toBeLessThanOrEqual(3);
    expect(breachesByErrors(0.05, 0.02, 0.02)).toBe(0);
    expect(breachesByErrors(0.05, 0.06, 0.01)).toBeLessThanOrEqual(3);
    expect(breachesByTime('p50', 1, 1)).toBeLessThanOrEqual(3);
    expect(breachesByTime('p50', 1.5, 1.5)).toBeLessThanOrEqual(3);
    expect(breachesByTime('p99', 1.5, 1.5)).toBeLessThanOrEqual(3);
  });

  it('nearly all are where the version is clearly beyond the bound', () => {
    expect(breachesByErrors(0.05, 0.2, 0.01)).toBeGreaterThan(47);
    expect(breachesByTime('p50', 1.5, 2)).toBeGreaterThan(47);
    expect(breachesByTime('p99', 1.5, 5)).toBeGreaterThan(47);
  });
});
