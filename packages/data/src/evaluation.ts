import { classFigures, classMetrics, mostConfused } from './class-metrics.js';
import type { ClassFigures } from './class-metrics.js';

/** Running sums over a split; `figures` gives the means. */
export interface Evaluation {
  /** Adds one batch. `outputs` are [size, width] row-major: probabilities of each class, or predictions. */
  add(outputs: Float32Array, targets: Float32Array, size: number): void;
  figures(): Record<string, number>;
  /** Rows are the classes that are, columns those that were said; undefined for numbers and many classes. */
  confusion(): number[][] | undefined;
  /** How well each class is told, in label order; null for one that neither is nor was said. Undefined as above. */
  perClass(): (ClassFigures | null)[] | undefined;
}

const numberMetrics = ['mae', 'rmse', 'r2'] as const;
const lossMetrics = ['loss', 'perplexity'] as const;

/** Those of a target that is a class, or of one that is a number, when a spec names none. */
export const metricsOf = (classes: number, isText: boolean): string[] => {
  if (isText) return ['accuracy', 'perplexity'];
  return classes > 0 ? ['accuracy'] : [...numberMetrics];
};

/** Metrics of which every example's scores are kept, and those that need the confusion matrix. */
const ofScores: ReadonlySet<string> = new Set(['auc']);
const ofConfusion: ReadonlySet<string> = new Set(['precision', 'recall', 'f1']);

/** Whether a metric says something of such a target, and is not more than can be kept of it. */
export function isMetric(name: string, classes: number, isText: boolean): boolean {
  if (name === 'loss') return true;
  if (classes === 0) return (numberMetrics as readonly string[]).includes(name);
  if (ofScores.has(name) && (isText || classes > mostConfused)) return false;
  if (ofConfusion.has(name) && classes > mostConfused) return false;
  const top = /^top_([1-9]\d*)$/.exec(name);
  if (top) return Number(top[1]) <= classes;
  return name === 'perplexity' || (name !== 'top' && Object.hasOwn(classMetrics, name));
}

/** Scores that are kept for metrics that want all of them at once, where nobody has asked for them by name. */
const mostScores = 2 ** 22;

/** Everything that can be said of so many answers, in the order it is told. A perplexity is that of a text. */
export function everyMetric(classes: number, isText: boolean, answers: number): string[] {
  const known = ['accuracy', 'top_5', 'precision', 'recall', 'f1', 'auc', 'perplexity', ...numberMetrics];
  return known.filter((name) => {
    if (name === 'perplexity' && !isText) return false;
    if (ofScores.has(name) && answers * classes > mostScores) return false;
    return isMetric(name, classes, isText);
  });
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
    perClass: () => matrix && classFigures(matrix, classes).map((figures) => figures ?? null),
  };
}

/** Mean squared and mean absolute error, and R², of numbers. */
export function evaluateNumbers(names: readonly string[] = numberMetrics): Evaluation {
  let rows = 0;
  let squares = 0;
  let absolutes = 0;
  let sum = 0;
  let sumOfSquares = 0;
  let first: number | undefined;
  return {
    add(predictions, targets, size) {
      for (let row = 0; row < size; row++) {
        const target = targets[row]!;
        const error = predictions[row]! - target;
        squares += error * error;
        absolutes += Math.abs(error);
        // around the first one: the squares of large targets that differ by little would drown their spread
        first ??= target;
        sum += target - first;
        sumOfSquares += (target - first) ** 2;
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
    perClass: () => undefined,
  };
}
