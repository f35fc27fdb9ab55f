import { activationScale, biasScales, quantizedBias, quantizedWeights } from './quantized-numbers.js';
import { roomForBias, roundToEven, weightScales } from './quantized-numbers.js';

/** Least, greatest, scale and zero point as Python's onnxruntime 1.30.0 computes them (`compute_scale_zp`). */
const byOnnxRuntime = [
  [-1, 2, Math.fround(3 / 255), 85],
  [-0.00023268046788871288, 0.00022145261755213141, 1.7809140899771592e-6, 131],
  [-160.48345947265625, 31.42746925354004, 0.7525919079780579, 213],
  [-5.08259916305542, 10.440831184387207, 0.06087619438767433, 83],
  [-0.10746441036462784, 0.12746810913085938, 0.0009213039884343743, 117],
  [-1.7216535806655884, 7.996253490447998, 0.038109440356492996, 45],
  [-0.6487448811531067, 0.1989607810974121, 0.0033243359066545963, 195],
] as const;

describe('an activation', () => {
  it.each(byOnnxRuntime)("from %d to %d has ONNX Runtime's scale and zero point", (min, max, scale, zeroPoint) => {
    expect(activationScale({ min, max })).toEqual({ scale, zeroPoint });
  });

  it('can be 0, whatever its range', () => {
    expect(activationScale({ min: 1, max: 2 })).toEqual({ scale: Math.fround(2 / 255), zeroPoint: 0 });
    expect(activationScale({ min: -2, max: -1 })).toEqual({ scale: Math.fround(2 / 255), zeroPoint: 255 });
    expect(activationScale({ min: 0, max: 0 })).toEqual({ scale: 1, zeroPoint: 0 });
  });
});

describe('weights', () => {
  const values = Float32Array.of(1, -2, 0, 0, 127, 0.5, 3, -254);
  const halves = { values: Float32Array.of(127, 0.5, 1.5, -2.5), dims: [1, 4], axis: 0 };

  it('have a scale per channel of either axis; a channel of zeros has 1', () => {
    expect([...weightScales({ values, dims: [4, 2], axis: 0 })]).toEqual([2 / 127, 1, 1, 2].map(Math.fround));
    expect([...weightScales({ values, dims: [2, 2, 2], axis: 1 })]).toEqual([1, 2].map(Math.fround));
  });

  it('round ties to even', () => {
    expect([...quantizedWeights(halves, Float32Array.of(1))]).toEqual([127, 0, 2, -2]);
    expect([0.5, 1.5, 2.5, -0.5, -1.5, 0.49, -2.51].map((value) => roundToEven(value) + 0)).toEqual([
      0, 2, 2, 0, -2, 0, -3,
    ]);
  });

  it('come back to half a step of where they were', () => {
    const scales = weightScales({ values, dims: [4, 2], axis: 0 });
    const quantized = quantizedWeights({ values, dims: [4, 2], axis: 0 }, scales);
    for (const [i, value] of values.entries()) {
      const scale = scales[Math.floor(i / 2)]!;
      expect(Math.abs(quantized[i]! * scale - value)).toBeLessThanOrEqual(scale / 2);
    }
  });
});

describe('a bias', () => {
  it('has the scale of the products', () => {
    const scales = biasScales(0.5, Float32Array.of(0.25, 4));
    expect([...scales]).toEqual([0.125, 2]);
    expect([...quantizedBias(Float32Array.of(1, -7), scales)]).toEqual([8, -4]);
  });

  it('that needs more than 32 bits enlarges the scale of its channel alone', () => {
    const bias = Float32Array.of(1, 1000);
    const scales = Float32Array.of(1e-4, 1e-7);
    const roomy = roomForBias(bias, 1e-3, scales);
    expect(roomy[0]).toBe(scales[0]);
    expect(roomy[1]).toBeGreaterThan(scales[1]!);
    const [, quantized] = quantizedBias(bias, biasScales(1e-3, roomy));
    expect(quantized).toBeLessThan(2 ** 31 - 1);
    expect(quantized! * 1e-3 * roomy[1]!).toBeCloseTo(1000, 3);
  });
});
