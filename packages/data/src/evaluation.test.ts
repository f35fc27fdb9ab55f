import { evaluateClasses, evaluateNumbers, everyMetric, isMetric } from './evaluation.js';

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

  // the examples and results below are those of scikit-learn's documentation
  const classes = (names: readonly string[], scores: readonly (readonly number[])[], targets: readonly number[]) => {
    const evaluation = evaluateClasses(scores[0]!.length, names);
    evaluation.add(Float32Array.from(scores.flat()), Float32Array.from(targets), targets.length);
    return evaluation;
  };

  it('gives the area under the curve of two classes', () => {
    const scores = [0.1, 0.4, 0.35, 0.8].map((of) => [1 - of, of]);
    expect(classes(['auc'], scores, [0, 0, 1, 1]).figures()['auc']).toBeCloseTo(0.75, 12);
    expect(classes(['auc'], scores, [1, 1, 1, 1]).figures()['auc']).toBe(Number.NaN);
  });

  it('tells how well each class is told', () => {
    const said = [0, 2, 1, 0, 0, 1].map((is) => [0, 1, 2].map((c) => Number(c === is)));
    const evaluation = classes(['precision', 'recall', 'f1'], said, [0, 1, 2, 0, 1, 2]);
    const figures = evaluation.figures();
    expect(figures['precision']).toBeCloseTo(0.2222, 4);
    expect(figures['recall']).toBeCloseTo(0.3333, 4);
    expect(figures['f1']).toBeCloseTo(0.2667, 4);
    expect(evaluation.perClass()).toEqual([
      { precision: expect.closeTo(0.6667, 4) as number, recall: 1, f1: expect.closeTo(0.8, 12) as number, support: 2 },
      { precision: 0, recall: 0, f1: 0, support: 2 },
      { precision: 0, recall: 0, f1: 0, support: 2 },
    ]);
  });

  it('counts a class as found among the k most probable', () => {
    const scores = [
      [0.5, 0.2, 0.2],
      [0.3, 0.4, 0.2],
      [0.2, 0.4, 0.3],
      [0.7, 0.2, 0.1],
    ];
    expect(classes(['top_2'], scores, [0, 1, 2, 2]).figures()['top_2']).toBe(0.75);
  });

  it('explains numbers, large ones that differ by little as well', () => {
    const r2 = (shift: number) => {
      const evaluation = evaluateNumbers();
      const at = (values: readonly number[]) => Float32Array.from(values, (value) => value + shift);
      evaluation.add(at([2.5, 0, 2, 8]), at([3, -0.5, 2, 7]), 4);
      return evaluation.figures()['r2'];
    };
    expect(r2(0)).toBeCloseTo(0.9486, 4);
    expect(r2(2 ** 22)).toBeCloseTo(0.9486, 4);
    const many = evaluateNumbers();
    const targets = Float32Array.from({ length: 1_000_000 }, (_, i) => 2 ** 23 + (i % 2));
    many.add(new Float32Array(targets.length).fill(2 ** 23), targets, targets.length);
    expect(many.figures()['r2']).toBeCloseTo(-1, 9);
  });

  it('refuses what says nothing of a target, or what cannot be kept of it', () => {
    expect(isMetric('f1', 10, false)).toBe(true);
    expect(isMetric('f1', 1_001, true)).toBe(false);
    expect(isMetric('auc', 65, true)).toBe(false);
    expect(isMetric('top_11', 10, false)).toBe(false);
    expect(isMetric('accuracy', 0, false)).toBe(false);
    expect(isMetric('constructor', 10, false)).toBe(false);
  });

  it('knows everything that can be said of a target, and leaves out what would have to keep too much', () => {
    expect(everyMetric(10, false, 360)).toEqual(['accuracy', 'top_5', 'precision', 'recall', 'f1', 'auc']);
    expect(everyMetric(3, false, 2_000_000)).toEqual(['accuracy', 'precision', 'recall', 'f1']);
    expect(everyMetric(5_000, true, 100)).toEqual(['accuracy', 'top_5', 'perplexity']);
    expect(everyMetric(0, false, 360)).toEqual(['mae', 'rmse', 'r2']);
  });
});
