import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { count, emptyHistogram, entropyRange, leastSquaresRange } from './histogram-ranges.js';
import { activationScale, roundToEven } from './quantized-numbers.js';

interface Vector {
  readonly name: string;
  readonly limit: number;
  readonly min: number;
  readonly max: number;
  readonly counts: readonly number[];
  readonly range: readonly [number, number];
}

// bench/peers/make_calibration_vectors.py
const vectors = JSON.parse(
  readFileSync(fileURLToPath(new URL('calibration-vectors.json', import.meta.url)), 'utf8'),
) as readonly Vector[];

/** Bell-shaped, with a few values far out. */
const longTailed = Float32Array.from({ length: 50_000 }, (_, i) => Math.tan(((i + 0.5) / 50_000 - 0.5) * 3.13));

describe('a histogram', () => {
  it.each(vectors)("$name: the least entropy is lost where ONNX Runtime's search finds it", (vector) => {
    const { limit, min, max, counts, range } = vector;
    const found = entropyRange({ low: -limit, high: limit, counts: Float64Array.from(counts) });
    expect(Math.max(found.min, min)).toBeCloseTo(range[0], 5);
    expect(Math.min(found.max, max)).toBeCloseTo(range[1], 5);
  });

  it('counts every value once, the largest in the last bin', () => {
    const histogram = emptyHistogram(-2, 2);
    count(histogram, Float32Array.of(-2, -1.9999, 0, 2));
    const filled = [...histogram.counts.entries()].filter(([, times]) => times > 0);
    expect(filled).toEqual([
      [0, 2],
      [1024, 1],
      [2047, 1],
    ]);
  });

  it('by least squares has less error in eight bits than the extremes', () => {
    const [low, high] = [Math.min(...longTailed), Math.max(...longTailed)];
    const histogram = emptyHistogram(low, high);
    count(histogram, longTailed);
    const squared = (range: { min: number; max: number }) => {
      const { scale, zeroPoint } = activationScale(range);
      return longTailed.reduce((sum, value) => {
        const step = Math.min(Math.max(roundToEven(value / scale) + zeroPoint, 0), 255);
        return sum + (value - (step - zeroPoint) * scale) ** 2;
      }, 0);
    };
    const found = leastSquaresRange(histogram);
    expect(found.max).toBeLessThan(high);
    expect(squared(found)).toBeLessThan(0.95 * squared({ min: low, max: high }));
  });
});
