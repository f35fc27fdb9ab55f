import { evaluateClasses, evaluateNumbers } from './evaluate.js';

describe('an evaluation', () => {
  it('counts right classes and averages their cross-entropy over batches', () => {
    const evaluation = evaluateClasses(2);
    evaluation.add(Float32Array.of(0.75, 0.25, 0.5, 0.5), Float32Array.of(0, 1), 2);
    evaluation.add(Float32Array.of(0, 1), Float32Array.of(1), 1);
    const { accuracy, loss } = evaluation.figures() as { accuracy: number; loss: number };
    expect(accuracy).toBeCloseTo(2 / 3, 12); // of equal probabilities the first class is taken
    expect(loss).toBeCloseTo((Math.log(4 / 3) + Math.log(2)) / 3, 6);
  });

  it('lets a probability of 0 cost much, not everything', () => {
    const evaluation = evaluateClasses(2);
    evaluation.add(Float32Array.of(1, 0), Float32Array.of(1), 1);
    expect(evaluation.figures()['loss']).toBeGreaterThan(80);
    expect(evaluation.figures()['loss']).toBeLessThan(90);
  });

  it('measures numbers by squares, distances and what the mean would have explained', () => {
    const evaluation = evaluateNumbers();
    evaluation.add(Float32Array.of(1, 2, 5), Float32Array.of(1, 3, 3), 3);
    const figures = evaluation.figures();
    expect(figures['loss']).toBeCloseTo(5 / 3, 6);
    expect(figures['rmse']).toBeCloseTo(Math.sqrt(5 / 3), 6);
    expect(figures['mae']).toBeCloseTo(1, 6);
    expect(figures['r2']).toBeCloseTo(1 - 5 / (19 - 49 / 3), 5);
  });
});
