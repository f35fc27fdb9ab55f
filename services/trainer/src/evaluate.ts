/** Running sums over a split; `figures` gives the means. */
export interface Evaluation {
  /** Adds one batch. `outputs` are [size, width] row-major: probabilities of each class, or predictions. */
  add(outputs: Float32Array, targets: Float32Array, size: number): void;
  figures(): Record<string, number>;
  /** Rows are the classes that are, columns those that were said; undefined for numbers and many classes. */
  confusion(): number[][] | undefined;
}

/** Classes beyond which no confusion matrix is kept. */
const mostConfused = 1_000;

/** What one metric gathers and gives. */
interface ClassMetric {
  /** `of` are the probabilities of one example, `best` the most probable class. */
  add?(of: Float32Array, target: number, best: number): void;
  value(matrix: Confusion | undefined): number;
}

type Confusion = Float64Array;

const classMetrics: Readonly<Record<string, (classes: number, asked: string) => ClassMetric>> = {
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
  precision: (classes) => ({ value: (matrix) => overClasses(classes, matrix, ({ precision }) => precision) }),
  recall: (classes) => ({ value: (matrix) => overClasses(classes, matrix, ({ recall }) => recall) }),
  f1: (classes) => ({
    value: (matrix) =>
      overClasses(classes, matrix, ({ precision, recall }) =>
        precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall),
      ),
  }),
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

const numberMetrics = ['mae', 'rmse', 'r2'] as const;
const lossMetrics = ['loss', 'perplexity'] as const;

/** Those of a target that is a class, or of one that is a number, when a spec names none. */
export const metricsOf = (classes: number, isText: boolean): string[] => {
  if (isText) return ['accuracy', 'perplexity'];
  return classes > 0 ? ['accuracy'] : [...numberMetrics];
};

/** Whether a metric says something of such a target. */
export function isMetric(name: string, classes: number): boolean {
  if (name === 'loss') return true;
  if (classes === 0) return (numberMetrics as readonly string[]).includes(name);
  const top = /^top_([1-9]\d*)$/.exec(name);
  if (top) return Number(top[1]) <= classes;
  return name === 'perplexity' || (name !== 'top' && Object.hasOwn(classMetrics, name));
}

/** Metrics that are better the larger they are. */
export const isBetterLarge = (metric: string): boolean =>
  ![...lossMetrics, 'mae', 'rmse'].includes(metric as (typeof lossMetrics)[number]);

/** Mean cross-entropy (nats) and metrics of class probabilities; the target is a class's index. */
export function evaluateClasses(classes: number, names: readonly string[] = ['accuracy']): Evaluation {
  let rows = 0;
  let loss = 0;
  const matrix = classes <= mostConfused ? new Float64Array(classes * classes) : undefined;
  const gathered = names
    .filter((name) => name !== 'loss' && name !== 'perplexity')
    .map((name) => [name, classMetrics[name.startsWith('top_') ? 'top' : name]!(classes, name)] as const);
  return {
    add(probabilities, targets, size) {
      for (let row = 0; row < size; row++) {
        const of = probabilities.subarray(row * classes, (row + 1) * classes);
        const target = targets[row]!;
        let best = 0;
        for (let c = 1; c < classes; c++) if (of[c]! > of[best]!) best = c;
        if (matrix) matrix[target * classes + best]!++;
        for (const [, metric] of gathered) metric.add?.(of, target, best);
        // the smallest float32 above 0: a probability that underflowed costs much, not everything
        loss -= Math.log(Math.max(of[target]!, 1.2e-38));
      }
      rows += size;
    },
    figures: () => ({
      ...Object.fromEntries(gathered.map(([name, metric]) => [name, metric.value(matrix)])),
      ...(names.includes('perplexity') ? { perplexity: Math.exp(loss / rows) } : {}),
      loss: loss / rows,
    }),
    confusion: () =>
      matrix &&
      Array.from({ length: classes }, (_, row) => Array.from(matrix.subarray(row * classes, (row + 1) * classes))),
  };
}

/** The mean over the classes that occur, as scikit-learn's macro average: a class never said has precision 0. */
function overClasses(
  classes: number,
  matrix: Confusion | undefined,
  of: (one: { precision: number; recall: number }) => number,
): number {
  if (!matrix) return Number.NaN;
  let sum = 0;
  let seen = 0;
  for (let c = 0; c < classes; c++) {
    let are = 0;
    let said = 0;
    for (let other = 0; other < classes; other++) {
      are += matrix[c * classes + other]!;
      said += matrix[other * classes + c]!;
    }
    if (are + said === 0) continue;
    const right = matrix[c * classes + c]!;
    sum += of({ precision: said === 0 ? 0 : right / said, recall: are === 0 ? 0 : right / are });
    seen++;
  }
  return sum / seen;
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

/** Mean squared and mean absolute error, and R², of numbers. */
export function evaluateNumbers(names: readonly string[] = numberMetrics): Evaluation {
  let rows = 0;
  let squares = 0;
  let absolutes = 0;
  let sum = 0;
  let sumOfSquares = 0;
  return {
    add(predictions, targets, size) {
      for (let row = 0; row < size; row++) {
        const target = targets[row]!;
        const error = predictions[row]! - target;
        squares += error * error;
        absolutes += Math.abs(error);
        sum += target;
        sumOfSquares += target * target;
      }
      rows += size;
    },
    figures() {
      const spread = sumOfSquares - (sum * sum) / rows;
      const all: Readonly<Record<string, number>> = {
        mae: absolutes / rows,
        rmse: Math.sqrt(squares / rows),
        r2: spread > 0 ? 1 - squares / spread : 0,
      };
      return {
        loss: squares / rows,
        ...Object.fromEntries(names.filter((name) => name !== 'loss').map((name) => [name, all[name]!])),
      };
    },
    confusion: () => undefined,
  };
}
