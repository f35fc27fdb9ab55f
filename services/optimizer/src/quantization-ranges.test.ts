import { numbers } from './models-for-tests.js';
import { createRanges } from './quantization-ranges.js';
import type { CalibrationMethod } from './quantization-ranges.js';

const count = 40_000;
/** Many small numbers, few large ones: of 1 to 40,000, the n-th is 1/n. */
const longTailed = Float32Array.from({ length: count }, (_, i) => (i % 2 === 0 ? 1 : -1) / (i + 1));

function rangeOf(method: CalibrationMethod, ...batches: Float32Array[]) {
  const ranges = createRanges(method);
  for (const batch of batches) ranges.add('x', batch);
  return ranges.finish().get('x');
}

describe('ranges', () => {
  it('are the extremes by minmax', () => {
    expect(rangeOf('minmax', Float32Array.of(0.5, -3), Float32Array.of(), Float32Array.of(7))).toEqual({
      min: -3,
      max: 7,
    });
  });

  it('keep 99.99 % of the magnitudes by percentile', () => {
    const magnitudes = longTailed.map(Math.abs).sort();
    const limit = magnitudes[0.9999 * count - 1]!; // the four largest stay out
    const { min, max } = rangeOf('percentile', longTailed)!;
    expect(max).toBeGreaterThanOrEqual(limit);
    expect(max).toBeLessThan(limit * 1.005);
    expect(min).toBe(-max);
  });

  it('are never wider than what was seen', () => {
    expect(rangeOf('percentile', Float32Array.of(0, 1.001, 3.7))).toEqual({ min: 0, max: Math.fround(3.7) });
    expect(rangeOf('percentile', new Float32Array(9))).toEqual({ min: 0, max: 0 });
  });

  it.each(['minmax', 'percentile'] as const)('do not depend on batches (%s)', (method) => {
    const values = numbers(5000).map((value, i) => value * (i + 1));
    const parts = [values.subarray(4000), values.subarray(0, 1), values.subarray(1, 4000)];
    expect(rangeOf(method, ...parts)).toEqual(rangeOf(method, values));
  });

  it('name the tensor that is no number', () => {
    const ranges = createRanges('percentile');
    expect(() => ranges.add('logits', Float32Array.of(1, NaN))).toThrow(
      "tensor 'logits' became NaN on the calibration examples, wants finite numbers",
    );
  });

  it('leave out tensors without values', () => {
    const ranges = createRanges('minmax');
    ranges.add('empty', new Float32Array());
    expect(ranges.finish().size).toBe(0);
  });
});
