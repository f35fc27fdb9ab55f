import { costOf } from './batch-cost.js';
import type { CostCurve } from './batch-cost.js';
import type { Breach, Sides } from './breach.js';
import { quantile, quantileLimits } from './confidence.js';

/** Which quantile may be how many times the other's. */
export interface TimeBound {
  readonly quantile: 'p50' | 'p99';
  readonly ratio: number;
}

const shares = { p50: 0.5, p99: 0.99 } as const;
/** Executions of each side that a decision takes: fewer have no upper limit of that quantile. */
const fewest = { p50: 20, p99: 750 } as const;
const mostKept = 10_000;

interface Execution {
  readonly rows: number;
  readonly ms: number;
}

/** How long executions of both targets took, until there are enough to decide. */
export interface TimeWindow {
  add(side: keyof Sides<unknown>, execution: Execution): void;
  /**
   * What is broken, where there are enough of them; the next window begins then. One of many rows takes longer, and the
   * target with more requests has more rows in each, so times are taken as multiples of what `cost` says of their rows.
   */
  decide(trialRequests: number, cost: CostCurve): Breach | undefined;
}

export function createTimeWindow(bound: TimeBound, afterRequests: number, versions: Sides<string>): TimeWindow {
  const share = shares[bound.quantile];
  const least = { trial: 20, other: fewest[bound.quantile] };
  let kept: Sides<Execution[]> = { trial: [], other: [] };
  let seen = { trial: 0, other: 0 };
  let requestsBefore = 0;

  return {
    add(side, execution) {
      const at = seen[side]++ < mostKept ? kept[side].length : Math.floor(Math.random() * seen[side]);
      if (at < mostKept) kept[side][at] = execution; // each as likely as the others, however many come (Vitter's R)
    },
    decide(trialRequests, cost) {
      const enough = trialRequests - requestsBefore >= afterRequests;
      if (!enough || seen.trial < least.trial || seen.other < least.other) return undefined;
      const multiples = ({ rows, ms }: Execution) => ms / (costOf(cost, rows) || 1);
      const trial = kept.trial.map(multiples).sort((a, b) => a - b);
      const other = kept.other.map(multiples).sort((a, b) => a - b);
      kept = { trial: [], other: [] };
      seen = { trial: 0, other: 0 };
      requestsBefore = trialRequests;

      const surely = quantileLimits(trial, share).low / quantileLimits(other, share).high;
      if (!(surely > bound.ratio)) return undefined;
      const ratio = Number((quantile(trial, share) / quantile(other, share)).toPrecision(3));
      return {
        reason:
          `the ${bound.quantile} of ${trial.length} executions of version ${versions.trial} is ${ratio} times that of ` +
          `${other.length} of version ${versions.other} at equal rows: at least ${Number(surely.toPrecision(3))} ` +
          `with 99 % confidence, ${bound.ratio} allowed`,
        data: { [`${bound.quantile}Ratio`]: ratio, executions: trial.length, otherExecutions: other.length },
      };
    },
  };
}
