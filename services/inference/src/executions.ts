import type { CostCurve } from './batch-cost.js';
import { createExecutionPace } from './execution-pace.js';

export interface Execution {
  readonly rows: number;
  /** Nobody waits for it. */
  readonly background: boolean;
}

/** The executions of a version that are under way, in the order in which they were sent: some are run, the others wait for that. */
export interface Executions extends Iterable<Execution> {
  readonly size: number;
  begin(execution: Execution): void;
  /** Its time is learned from where it was run as a whole. */
  end(execution: Execution, learn: boolean): void;
  /** Milliseconds that one of so many rows should take; 0 where nothing is known of any. */
  expectedMs(rows: number): number;
  /** Milliseconds until a runner has nothing left, at the least. */
  msUntilIdle(): number;
}

export interface ExecutionsOptions {
  /** How many of them run at a time. */
  readonly sideBySide: number;
  readonly curve: CostCurve;
}

export function createExecutions({ sideBySide, curve }: ExecutionsOptions): Executions {
  const pace = createExecutionPace(curve);
  /** With when they began to run, or were sent. */
  const since = new Map<Execution, number>();
  const running = () => [...since].slice(0, sideBySide);

  return {
    get size() {
      return since.size;
    },
    [Symbol.iterator]: () => since.keys(),
    begin: (execution) => void since.set(execution, performance.now()),
    end(execution, learn) {
      const now = performance.now();
      const began = running().find(([other]) => other === execution)?.[1];
      since.delete(execution);
      if (began === undefined) return;
      if (learn) pace.learn(execution.rows, now - began);
      const next = running()[sideBySide - 1];
      if (next) since.set(next[0], now);
    },
    expectedMs: pace.expected,
    msUntilIdle() {
      const now = performance.now();
      const ends = running().map(([{ rows }, began]) => Math.max(now, began + pace.least(rows)));
      for (const { rows } of [...since.keys()].slice(sideBySide)) {
        ends.sort((a, b) => a - b);
        ends[0]! += pace.least(rows); // who is done first goes on with it
      }
      return Math.max(0, Math.min(...ends) - now);
    },
  };
}
