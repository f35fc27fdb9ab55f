import type { Tensors } from './divergence.js';
import type { Steps } from './step-session.js';

/** Steps in one run at most, and bytes of what is fed for them. */
const mostSteps = 32;
const mostBytes = 2 ** 26;
/** A run of several takes from the one to the other: progress is told, and checkpoints are taken, between runs. */
const quickMs = 125;
const slowMs = 500;

/** What a training asks for step by step, where an engine may compute several at once. */
export interface StepsAhead {
  /** The outputs of a step, counted from 0; it and those after it are computed where they were not. */
  run(step: number): Promise<Tensors>;
  /** Goes on from the step that was asked for last. */
  advance(): void;
  /** Whether the session's state is the one before the next step. */
  isSettled(): boolean;
  /** Brings the session to the state before the step that was asked for last, by making steps again. */
  settle(): Promise<void>;
  /** Forgets what was computed: the session gets another state. */
  drop(): void;
}

export interface StepSource {
  /** What a step is fed besides the state; it may take the memory of the one before. */
  feedsAt(step: number): Promise<Tensors>;
  formAt(step: number): 'model' | 'other';
  /** Whether the state is wanted before this step. */
  isStop(step: number): boolean;
}

/** Of a training whose evaluations look at the weights, and whose prunings change them. */
export const isStop = (
  step: number,
  of: { readonly steps: number; readonly evaluateEvery: number; isPruned(step: number): boolean },
): boolean => step >= of.steps || step % of.evaluateEvery === 0 || of.isPruned(step);

/** `now`: a clock of milliseconds. */
export function stepsAhead(
  session: Steps,
  { feedsAt, formAt, isStop }: StepSource,
  now: () => number = () => performance.now(),
): StepsAhead {
  let first = 0;
  let computed: readonly Tensors[] = [];
  let asked = 0;
  let together = 1;

  async function compute(step: number): Promise<readonly Tensors[]> {
    const feeds = await feedsAt(step);
    const count = session.runEach ? countFrom(step, feeds) : 0;
    if (!session.runEach || count === 0) return [await session.run(feeds, formAt(step))];
    const began = now();
    const outputs = await session.runEach(count, async (i) => (i === 0 ? feeds : feedsAt(step + i)));
    const took = now() - began;
    if (took < quickMs && count === together) together = Math.min(mostSteps, 2 * together);
    else if (took > slowMs) together = Math.max(1, count >> 1);
    return outputs;
  }

  /** Steps that can be one run. */
  function countFrom(step: number, feeds: Tensors): number {
    const bytes = Object.values(feeds).reduce((sum, { data }) => sum + (data as Float32Array).byteLength, 0);
    const most = Math.min(together, Math.max(1, Math.floor(mostBytes / bytes)));
    let count = 0;
    while (count < most && formAt(step + count) === 'model' && (count === 0 || !isStop(step + count))) count++;
    return count;
  }

  return {
    async run(step) {
      asked = step;
      if (step < first || step >= first + computed.length) {
        computed = await compute(step);
        first = step;
      }
      return computed[step - first]!;
    },
    advance() {
      if (++asked < first + computed.length) return;
      session.advance();
      computed = [];
    },
    isSettled: () => computed.length === 0,
    async settle() {
      const ahead = computed;
      computed = [];
      for (let step = first; ahead.length > 0 && step < asked; step++) {
        await session.run(await feedsAt(step), formAt(step));
        session.advance();
      }
    },
    drop() {
      computed = [];
    },
  };
}
