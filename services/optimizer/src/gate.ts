import type { Metrics } from './evaluate.js';
import type { Task } from './task.js';

export type GateMetric = 'accuracy' | 'r2' | 'perplexity';

/** The figure that a bound is put on, and how much worse it may get. */
interface Quality {
  readonly metric: GateMetric;
  readonly isBetterLarge: boolean;
  /** How much worse a candidate is than its parent; below 0 where it is better. */
  drop(parent: number, candidate: number): number;
  /** What a drop is, for people. */
  inWords(drop: number): string;
  /** What a bound asks for, for people. */
  asked(maxDrop: number): string;
}

const qualities: { readonly [K in Task['kind']]: Quality } = {
  classes: share('accuracy', 'an accuracy drop'),
  numbers: share('r2', 'a drop of r2'),
  // perplexities of other texts and tokens differ in size, so that only a share says anything
  text: {
    metric: 'perplexity',
    isBetterLarge: false,
    drop: (parent, candidate) => candidate / parent - 1,
    inWords: (drop) => `a rise of ${percent(drop)}`,
    asked: (maxDrop) => `a rise of perplexity by at most ${percent(maxDrop)}`,
  },
};

function share(metric: GateMetric, what: string): Quality {
  return {
    metric,
    isBetterLarge: true,
    drop: (parent, candidate) => parent - candidate,
    inWords: (drop) => `a drop of ${drop.toFixed(4)}`,
    asked: (maxDrop) => `${what} of at most ${maxDrop}`,
  };
}

const percent = (part: number) => `${Number((100 * part).toPrecision(3))} %`;

/** How much a candidate may lose, and the field that says so. */
export interface Bound {
  readonly maxDrop: number;
  readonly field: 'max_accuracy_drop' | 'max_drop';
}

/** The metric that a task's bound is put on. */
export const gateMetric = (kind: Task['kind']): GateMetric => qualities[kind].metric;

/** The figure that a bound is put on, turned so that the larger is the better one. */
export function qualityOf(kind: Task['kind'], figures: Metrics): number {
  const { metric, isBetterLarge } = qualities[kind];
  return (figures[metric] ?? Number.NaN) * (isBetterLarge ? 1 : -1);
}

/** How much worse a candidate is than its parent, as `max_drop` counts it. */
export function dropOf(kind: Task['kind'], parent: Metrics, candidate: Metrics): number {
  const { metric, drop } = qualities[kind];
  return drop(parent[metric] ?? Number.NaN, candidate[metric] ?? Number.NaN);
}

/** What a bound asks for, in words. */
export const boundInWords = (kind: Task['kind'], { maxDrop }: Bound): string => qualities[kind].asked(maxDrop);

/** What a candidate lost more than it may, in words with figures; undefined where it did not. `on` are the examples. */
export function gateFault(
  kind: Task['kind'],
  { parent, candidate }: Readonly<Record<'parent' | 'candidate', Metrics>>,
  { maxDrop, field }: Bound,
  on = '',
): string | undefined {
  const drop = dropOf(kind, parent, candidate);
  if (drop <= maxDrop + 1e-9) return undefined; // the last bits of a difference of fractions do not decide
  const { metric, isBetterLarge, inWords } = qualities[kind];
  const [before, after] = [parent[metric], candidate[metric]].map((value) => value?.toFixed(4) ?? 'nothing');
  return (
    `${metric} ${isBetterLarge ? 'fell' : 'rose'} from ${before} to ${after}${on}: ` +
    `${inWords(drop)}, ${field} is ${maxDrop}`
  );
}
