import { learningRateAt } from './schedule.js';

describe('learningRateAt', () => {
  it('stays the same for a constant schedule', () => expect(learningRateAt('constant', 0.1, 50, 100)).toBe(0.1));

  it('falls along half a cosine to a hundredth at the last step', () => {
    expect(learningRateAt('cosine', 0.1, 0, 101)).toBeCloseTo(0.1, 12);
    expect(learningRateAt('cosine', 0.1, 50, 101)).toBeCloseTo(0.1 * (0.01 + 0.99 / 2), 12);
    expect(learningRateAt('cosine', 0.1, 100, 101)).toBeCloseTo(0.001, 12);
    expect(learningRateAt('cosine', 0.1, 0, 1)).toBeCloseTo(0.1, 12);
  });
});
