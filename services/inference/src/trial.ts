import type { registry } from '@modelmill/contracts';
import type { CostCurve } from './batch-cost.js';
import type { Breach, Sides } from './breach.js';
import { createErrorWindow } from './error-window.js';
import { createTimeWindow } from './time-window.js';

/** Hears of what becomes of requests. */
export interface Watch {
  /** An execution with one of these requests in it, and how long ONNX Runtime took. */
  executed(rows: number, ms: number): void;
  /** A request that was run, and whether it gave outputs. */
  ran(failed: boolean): void;
}

/** Requests that a side ran since the rule was set, on this replica. */
export interface RunCounts {
  readonly version: string;
  readonly requests: number;
  readonly failed: number;
}

/** A version that is held against the label's other target by the rule. */
export interface Trial {
  readonly rule: registry.RollBackRule;
  /** What hears of the requests to that version. */
  watch(version: string): Watch;
  counts(): RunCounts[];
}

/**
 * `cost` says what executions of the other target take by their rows. `onBreach` resolves when the label has been moved, or
 * could not be: nothing is counted until then, and a new window begins.
 */
export function createTrial(
  rule: registry.RollBackRule,
  otherVersion: string,
  cost: () => CostCurve,
  onBreach: (breach: Breach) => Promise<void>,
): Trial {
  const { maxErrorShare, maxP50Ratio, maxP99Ratio, afterRequests } = rule;
  const versions = { trial: rule.version, other: otherVersion };
  const errors = maxErrorShare === undefined ? undefined : createErrorWindow(maxErrorShare, afterRequests, versions);
  const times = ([['p50', maxP50Ratio], ['p99', maxP99Ratio]] as const).flatMap(([quantile, ratio]) =>
    ratio === undefined ? [] : [createTimeWindow({ quantile, ratio }, afterRequests, versions)],
  ); // prettier-ignore
  const totals = { trial: { requests: 0, failed: 0 }, other: { requests: 0, failed: 0 } };
  let moving = false;

  function decide() {
    let breach = errors?.decide();
    for (const window of times) breach ??= window.decide(totals.trial.requests, cost());
    if (breach === undefined) return;
    moving = true;
    void onBreach(breach).finally(() => (moving = false));
  }

  const watchOf = (side: keyof Sides<unknown>): Watch => ({
    executed(rows, ms) {
      if (!moving) for (const window of times) window.add(side, { rows, ms });
    },
    ran(failed) {
      totals[side].requests++;
      if (failed) totals[side].failed++;
      if (moving) return;
      errors?.add(side, failed);
      decide();
    },
  });
  const watches = { trial: watchOf('trial'), other: watchOf('other') };

  return {
    rule,
    watch: (version) => (version === rule.version ? watches.trial : watches.other),
    counts: () => (['trial', 'other'] as const).map((side) => ({ version: versions[side], ...totals[side] })),
  };
}
