/** Classes beyond which no confusion matrix is kept, nor what follows from one. */
export const mostConfused = 1_000;

/** Counts [classes, classes]: rows are the classes that are, columns those that were said. */
export type Confusion = Float64Array;

/** What one metric gathers and gives. */
interface ClassMetric {
  /** `of` are the probabilities of one example, `best` the most probable class. */
  add?(of: Float32Array, target: number, best: number): void;
  value(matrix: Confusion | undefined): number;
}

/** How well one class is told. */
export interface ClassFigures {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** Examples that are of it. */
  readonly support: number;
}

/** Of as many as there are, by name; `top` for `top_5` and its like. */
export const classMetrics: Readonly<Record<string, (classes: number, asked: string) => ClassMetric>> = {
  accuracy: () => {
    let rows = 0;
    let right = 0;
    return {
      add(_, target, best) {
        rows++;
        if (best === target) right++;
      },
      value: () => right / rows,
    };
  },
  top: (_, asked) => {
    const k = Number(asked.slice('top_'.length));
    let rows = 0;
    let right = 0;
    return {
      add(of, target) {
        rows++;
        let ahead = 0;
        for (const probability of of) if (probability > of[target]!) ahead++;
        if (ahead < k) right++;
      },
      value: () => right / rows,
    };
  },
  precision: macro('precision'),
  recall: macro('recall'),
  f1: macro('f1'),
  auc: (classes) => {
    const scores: number[][] = Array.from({ length: classes }, () => []);
    const targets: number[] = [];
    return {
      add(of, target) {
        targets.push(target);
        of.forEach((probability, c) => scores[c]!.push(probability));
      },
      value() {
        // of two classes the one says what the other does
        const of = classes === 2 ? [1] : [...scores.keys()];
        const areas = of.map((c) => areaUnderCurve(scores[c]!, (row) => targets[row] === c)).filter(Number.isFinite);
        return areas.reduce((sum, area) => sum + area, 0) / areas.length;
      },
    };
  },
};

/** The mean over the classes that occur or were said, as scikit-learn's macro average. */
function macro(name: 'precision' | 'recall' | 'f1') {
  return (classes: number): ClassMetric => ({
    value(matrix) {
      if (!matrix) return Number.NaN;
      const seen = classFigures(matrix, classes).filter((figures) => figures !== undefined);
      return seen.reduce((sum, figures) => sum + figures[name], 0) / seen.length;
    },
  });
}

/** Class by class; undefined for one that neither is nor was said. One that was never said has precision 0. */
export function classFigures(matrix: Confusion, classes: number): (ClassFigures | undefined)[] {
  return Array.from({ length: classes }, (_, c) => {
    let support = 0;
    let said = 0;
    for (let other = 0; other < classes; other++) {
      support += matrix[c * classes + other]!;
      said += matrix[other * classes + c]!;
    }
    if (support + said === 0) return undefined;
    const right = matrix[c * classes + c]!;
    const precision = said === 0 ? 0 : right / said;
    const recall = support === 0 ? 0 : right / support;
    return { precision, recall, f1: (2 * right) / (support + said), support };
  });
}

/** The share of pairs of one that is and one that is not in which the first has the higher score; ties count half. */
function areaUnderCurve(scores: readonly number[], is: (row: number) => boolean): number {
  const order = [...scores.keys()].sort((a, b) => scores[a]! - scores[b]!);
  let ranks = 0;
  let are = 0;
  for (let first = 0; first < order.length;) {
    let end = first;
    while (end < order.length && scores[order[end]!] === scores[order[first]!]) end++;
    const rank = (first + 1 + end) / 2; // ties share the mean of their ranks
    for (let at = first; at < end; at++) {
      if (!is(order[at]!)) continue;
      ranks += rank;
      are++;
    }
    first = end;
  }
  return (ranks - (are * (are + 1)) / 2) / (are * (order.length - are));
}
