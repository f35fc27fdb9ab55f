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

  // three classes: what is → what was said
  const said = [
    [0, [0.7, 0.2, 0.1]],
    [0, [0.1, 0.6, 0.3]],
    [1, [0.1, 0.8, 0.1]],
    [1, [0.2, 0.5, 0.3]],
    [2, [0.1, 0.6, 0.3]],
    [2, [0.2, 0.2, 0.6]],
    [2, [0.5, 0.2, 0.3]],
  ] as const;

  it('tells precision, recall, F1, areas under curves and what was confused, as scikit-learn does', () => {
    const names = ['precision', 'recall', 'f1', 'auc', 'top_2', 'perplexity', 'accuracy'];
    const evaluation = evaluateClasses(3, names);
    const probabilities = Float32Array.from(said.flatMap(([, of]) => of));
    evaluation.add(
      probabilities,
      Float32Array.from(said, ([is]) => is),
      said.length,
    );
    const figures = evaluation.figures();
    expect(evaluation.confusion()).toEqual([
      [1, 1, 0],
      [0, 2, 0],
      [1, 1, 1],
    ]);
    expect(figures['accuracy']).toBeCloseTo(4 / 7, 6);
    expect(figures['precision']).toBeCloseTo((1 / 2 + 2 / 4 + 1) / 3, 6);
    expect(figures['recall']).toBeCloseTo((1 / 2 + 1 + 1 / 3) / 3, 6);
    expect(figures['f1']).toBeCloseTo((1 / 2 + 2 / 3 + 1 / 2) / 3, 6);
    // one against the rest, by counting pairs
    const pairs = (c: number) => {
      let won = 0;
      let all = 0;
      for (const [is, p] of said) {
        for (const [isNot, q] of said) {
          if (is !== c || isNot === c) continue;
          all++;
          won += p[c]! > q[c]! ? 1 : p[c] === q[c] ? 0.5 : 0;
        }
      }
      return won / all;
    };
    expect(figures['auc']).toBeCloseTo((pairs(0) + pairs(1) + pairs(2)) / 3, 6);
    expect(figures['top_2']).toBeCloseTo(6 / 7, 6);
    expect(figures['perplexity']).toBeCloseTo(Math.exp(figures['loss']!), 6);
  });
});
