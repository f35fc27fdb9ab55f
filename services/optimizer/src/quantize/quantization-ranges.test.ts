import { numbers } from '../models-for-tests.js';
import { calibrationMethods, createRanges } from './quantization-ranges.js';
import type { CalibrationMethod } from './quantization-ranges.js';

const count = 400_000;
/** Many small numbers, few large ones: of 1 to 400,000, the n-th is 1/n. */
const longTailed = Float32Array.from({ length: count }, (_, i) => (i % 2 === 0 ? 1 : -1) / (i + 1));

/** Every batch is as many examples as it has numbers. */
async function rangeOf(method: CalibrationMethod, ...batches: Float32Array[]) {
  const ranges = createRanges(method);
  do {
    for (const batch of batches) ranges.add('x', batch, batch.length);
  } while (ranges.again());
  return (await ranges.finish()).get('x')!;
}

describe('ranges', () => {
  it('are the extremes by minmax', async () => {
    expect(await rangeOf('minmax', Float32Array.of(0.5, -3), Float32Array.of(), Float32Array.of(7))).toEqual({
      min: -3,
      max: 7,
    });
  });

  it("keep ONNX Runtime's example, however it is split", async () => {
    // test_calibration.py; 1.30 loses chunks where it caps what it keeps
    const outputs = [[-9, 1], [2, 12], [-4, 7], [6, -3], [0, 3]].map((pair) => Float32Array.from(pair)); // prettier-ignore
    expect(await rangeOf('minmax', ...outputs)).toEqual({ min: -9, max: 12 });
  });

  it.each(calibrationMethods)('are the same whatever cap there is on what is seen at once (%s)', async (method) => {
    const outputs = [[-9, 1], [2, 12], [-4, 7], [6, -3], [0, 3]]; // prettier-ignore
    const capped = (cap: number) => {
      const batches = Array.from({ length: Math.ceil(outputs.length / cap) }, (_, i) =>
        outputs.slice(i * cap, (i + 1) * cap),
      );
      const ranges = createRanges(method);
      do {
        for (const batch of batches) ranges.add('x', Float32Array.from(batch.flat()), batch.length);
      } while (ranges.again());
      return ranges.finish();
    };
    const whole = await capped(outputs.length);
    for (const cap of [1, 2, 3, 4]) expect(await capped(cap)).toEqual(whole);
  });

  it('keep 99.999 % of the magnitudes by percentile', async () => {
    const magnitudes = longTailed.map(Math.abs).sort();
    const limit = magnitudes[0.99999 * count - 1]!; // the four largest stay out
    const { min, max } = await rangeOf('percentile', longTailed);
    expect(max).toBeGreaterThanOrEqual(limit);
    expect(max).toBeLessThan(limit * 1.005);
    expect(min).toBe(-max);
  });

  it('move by a hundredth with every example', async () => {
    const ranges = createRanges('moving_average');
    ranges.add('x', Float32Array.of(-1, 1, -2, 3), 2);
    ranges.add('x', Float32Array.of(-1, 9), 1);
    const { min, max } = (await ranges.finish()).get('x')!;
    expect(min).toBeCloseTo(-1.01 + 0.01 * 0.01, 12);
    expect(max).toBeCloseTo(1.02 + 0.01 * (9 - 1.02), 12);
  });

  it.each(['percentile', 'entropy', 'mse'] as const)('are never wider than what was seen (%s)', async (method) => {
    const { min, max } = await rangeOf(method, Float32Array.of(0, 1.001, 3.7));
    expect(min).toBeCloseTo(0, 12);
    expect(max).toBeLessThanOrEqual(Math.fround(3.7));
    expect(await rangeOf(method, new Float32Array(9))).toEqual({ min: 0, max: 0 });
  });

  it.each(calibrationMethods)('do not depend on batches (%s)', async (method) => {
    const values = numbers(5000).map((value, i) => value * (i + 1));
    const parts = [values.subarray(0, 1), values.subarray(1, 4000), values.subarray(4000)];
    expect(await rangeOf(method, ...parts)).toEqual(await rangeOf(method, values));
  });

  it.each(calibrationMethods)('name the tensor that is no number (%s)', (method) => {
    const ranges = createRanges(method);
    expect(() => ranges.add('logits', Float32Array.of(1, NaN), 2)).toThrow(
      "tensor 'logits' became NaN on the calibration examples, wants finite numbers",
    );
  });

  it('leave out tensors without values', async () => {
    const ranges = createRanges('minmax');
    ranges.add('empty', new Float32Array(), 1);
    expect((await ranges.finish()).size).toBe(0);
  });
});
