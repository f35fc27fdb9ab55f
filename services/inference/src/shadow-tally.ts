import type { serving } from '@modelmill/contracts';
import type { Tensors } from './batch.js';
import { createOutputComparison } from './output-comparison.js';
import type { OutputComparison } from './output-comparison.js';
import type { Answered } from './shadow-backlog.js';
import { createTimeBuckets } from './time-buckets.js';

export const dropReasons = ['busy', 'not_in_memory', 'not_loaded', 'resting'] as const;
export type DropReason = (typeof dropReasons)[number];

/** What a shadow made of one request. */
export interface Shadowed {
  readonly outputs: Tensors;
  readonly answerMs: number;
  readonly executionMs: number;
}

/** What became of the requests that a shadow was to run. */
export function createShadowTally() {
  const counts = { answered: 0, picked: 0, compared: 0, failed: 0, lastFailure: '' };
  const dropped = new Map<DropReason, number>(dropReasons.map((reason) => [reason, 0]));
  const outputs = new Map<string, OutputComparison>();
  const times = { answered: createSideTimes(), shadow: createSideTimes() };

  return {
    counts,
    dropped,
    times,
    /** Requests that are picked, and nothing has come of them yet. */
    waiting: () =>
      counts.picked - counts.compared - counts.failed - [...dropped.values()].reduce((sum, count) => sum + count, 0),
    drop: (reason: DropReason, requests = 1) => void dropped.set(reason, dropped.get(reason)! + requests),
    fail(message: string) {
      counts.failed++;
      counts.lastFailure = message;
    },
    /** `names`: the outputs that were asked for. */
    async compare(answered: Answered, shadowed: Shadowed, names: readonly string[]) {
      for (const name of names) {
        let output = outputs.get(name);
        if (output === undefined) outputs.set(name, (output = createOutputComparison(name)));
        await output.add(answered.outputs.get(name)!, shadowed.outputs.get(name), answered.batched);
      }
      times.answered.add(answered);
      times.shadow.add(shadowed);
      counts.compared++;
    },
    outputs: (): serving.OutputComparison[] =>
      [...outputs.values()].map((output) => output.message()).sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

export type ShadowTally = ReturnType<typeof createShadowTally>;

function createSideTimes() {
  const [answer, execution] = [createTimeBuckets(), createTimeBuckets()];
  return {
    answer,
    execution,
    add(of: { readonly answerMs: number; readonly executionMs: number }) {
      answer.add(of.answerMs);
      execution.add(of.executionMs);
    },
    message: (): serving.SideTimes => ({ answer: answer.message(), execution: execution.message() }),
  };
}
