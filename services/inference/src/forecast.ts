import { costOf } from './batch-cost.js';
import type { CostCurve } from './batch-cost.js';
import { createSlowness } from './slowness.js';

export interface ForecastOptions {
  readonly curve: CostCurve;
  /** Rows per execution. */
  readonly maxBatch: number;
  readonly runners: number;
}

/** Work before a request, itself included. */
export interface Backlog {
  /** Rows of each execution under way. */
  readonly executing: Iterable<number>;
  /** Rows that wait before it, and its own. */
  readonly waiting: number;
  readonly own: number;
}

/**
 * When a request would be answered. The measured cost of an execution says how much work lies before it; how fast that
 * work is done beside everything else on this machine is learned from every answer.
 */
export interface Forecast {
  /** Milliseconds by the measured costs alone: what `learn` wants back. */
  work(backlog: Backlog): number;
  /** Milliseconds until an answer, for such work. */
  milliseconds(work: number): number;
  learn(work: number, milliseconds: number): void;
}

const deviations = 2;

export function createForecast({ curve, maxBatch, runners }: ForecastOptions): Forecast {
  let learned = curve;
  const slowness = createSlowness();
  return {
    work({ executing, waiting, own }) {
      let ms = Math.floor(waiting / maxBatch) * costOf(learned, maxBatch) + costOf(learned, waiting % maxBatch);
      for (const rows of executing) ms += costOf(learned, rows);
      return Math.max(costOf(learned, Math.min(own, maxBatch)), ms / runners);
    },
    milliseconds: (work) => work * (slowness.mean + deviations * slowness.deviation),
    learn(work, milliseconds) {
      if (learned.length === 0) {
        learned = [{ rows: maxBatch, ms: milliseconds }]; // optimistic: that a full execution takes what the first one did
      } else if (work > 0) slowness.learn(milliseconds / work);
    },
  };
}
