import type { optimizer } from '@modelmill/contracts';
import { range, word } from '../field-checks.js';

const objectives = ['fastest', 'smallest'] as const;

/** What is searched for, and within which bounds. */
export interface PlannedGoal {
  readonly optimize: (typeof objectives)[number];
  /** Infinity: any. */
  readonly maxLatencyMs: number;
  readonly maxBytes: number;
  readonly budgetMs: number;
}

/** A goal with its defaults filled in; throws an RpcError naming the field. */
export function planGoal(goal: optimizer.OptimizationGoal): PlannedGoal {
  return {
    optimize: word(goal.optimize || 'fastest', objectives, 'goal.optimize'),
    maxLatencyMs: range(goal.maxLatencyMs, 0, 1e9, 'goal.max_latency_ms') || Infinity,
    maxBytes: Number(goal.maxBytes) || Infinity,
    budgetMs: 1000 * range(goal.timeBudgetSeconds || 300, 1, 1_000_000, 'goal.time_budget_seconds'),
  };
}
