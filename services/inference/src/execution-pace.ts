import { costOf } from './batch-cost.js';
import type { CostCurve } from './batch-cost.js';
import { createSlowness } from './slowness.js';

/** How long executions take beside everything else on this machine, in milliseconds, learned from every one. */
export interface ExecutionPace {
  /** What one of so many rows should take; 0 where nothing is known of any. */
  expected(rows: number): number;
  /** What one of so many rows rarely falls short of. */
  least(rows: number): number;
  learn(rows: number, milliseconds: number): void;
}

/** Begins with what was measured when the model was loaded. */
export function createExecutionPace(curve: CostCurve): ExecutionPace {
  let known = curve;
  const slowness = createSlowness();
  return {
    expected: (rows) => costOf(known, rows) * slowness.mean,
    least: (rows) => costOf(known, rows) * Math.max(0, slowness.mean - slowness.deviation),
    learn(rows, milliseconds) {
      const cost = costOf(known, rows);
      if (cost > 0) slowness.learn(milliseconds / cost);
      else if (known.length === 0 && rows > 0) known = [{ rows, ms: milliseconds }];
    },
  };
}
