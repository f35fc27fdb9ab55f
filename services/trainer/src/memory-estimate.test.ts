import { memoryEstimate, memoryLimit } from './memory-estimate.js';

const adam = { kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 } as const;
const layer = (outputShape: number[]) => ({ name: '', outputShape, parameters: 0 });

describe('the memory a training is estimated to take', () => {
  it('counts weights and slots three times, gradients twice, and what layers give to a batch', () => {
    const layers = [layer([32, 8, 8]), layer([10])];
    const batch = 4 * 2 * 64 * (32 * 8 * 8 + 10);
    const plan = { optimizer: adam, ema: 0, accumulate: 1, restoreBest: false };
    expect(memoryEstimate(plan, 1000, layers, 64)).toBe(4 * 1000 * 11 + batch);
    expect(memoryEstimate({ ...plan, ema: 0.9 }, 1000, layers, 64)).toBe(4 * 1000 * 14 + batch);
    expect(memoryEstimate({ ...plan, accumulate: 4 }, 1000, layers, 64)).toBe(4 * 1000 * 14 + batch);
    expect(memoryEstimate({ ...plan, restoreBest: true }, 1000, layers, 64)).toBe(4 * 1000 * 12 + batch);
  });

  it('is held against most of what there is', () => {
    expect(memoryLimit()).toBeGreaterThan(2 ** 28);
    expect(memoryLimit()).toBeLessThan(2 ** 50);
  });
});
