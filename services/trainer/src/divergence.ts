import type { Model } from '@modelmill/onnx';
import type { StatefulSession, TypedTensor } from '@modelmill/runtime';
import { firstOffender, isFinite } from './first-offender.js';

/** Another try would end in the same way. */
export class TrainingFailedError extends Error {
  override readonly name = 'TrainingFailedError';
}

export type Tensors = Readonly<Record<string, TypedTensor>>;

export interface Divergence {
  /** What is no number, such as the loss, and what it is instead. */
  readonly what: string;
  readonly got: number;
  /** From 1. */
  readonly step: number;
  readonly steps: number;
  /** Where that began, in words. */
  readonly offender: string | undefined;
  /** 0: none. */
  readonly savedStep: number;
}

export function diverged({ what, got, step, steps, offender, savedStep }: Divergence): TrainingFailedError {
  const first = offender === undefined ? '' : `; the first tensor that is no number is ${offender}`;
  const saved = savedStep > 0 ? `; the last good checkpoint was at step ${savedStep}` : '';
  return new TrainingFailedError(
    `the ${what} is ${got} at step ${step} of ${steps}${first}${saved}: try a smaller learning rate, or clip_norm`,
  );
}

/** Steps that can be done again. */
export interface Course {
  readonly model: Model;
  /** A state of numbers, and the steps done by then. */
  readonly good: { readonly state: Tensors; readonly step: number };
  /** What a step, counted from 0, is fed besides the state. */
  feedsAt(step: number): Promise<Tensors>;
  /** Which model of the session computes it. */
  formAt(step: number): 'model' | 'other';
  /** The state it begins with, of the one before it: prunings come in between. */
  stateAt(step: number, state: Tensors): Tensors;
}

/**
 * Where numbers ceased to be numbers, at the latest in the step after `done` others. An update that overflows breaks weights
 * whose loss was a number still: the steps since the last good state are then done again to find it. Undefined where it
 * is not found.
 */
export async function whereItBegan(
  session: Pick<StatefulSession, 'run' | 'advance' | 'state' | 'setState'>,
  { model, good, feedsAt, formAt, stateAt }: Course,
  done: number,
): Promise<string | undefined> {
  const state = await session.state();
  if (areFinite(state)) return firstOffender(model, { ...state, ...(await feedsAt(done)) });
  let before = good.state;
  for (let step = good.step; step < done; step++) {
    before = stateAt(step, before);
    session.setState(before);
    const feeds = await feedsAt(step);
    await session.run(feeds, formAt(step));
    session.advance();
    const after = await session.state();
    if (areFinite(after)) {
      before = after;
      continue;
    }
    const found = await firstOffender(model, { ...before, ...feeds });
    return found === undefined ? undefined : `${found}, in step ${step + 1}`;
  }
  return undefined;
}

/** Whether all numbers of a state are numbers. */
export const areFinite = (tensors: Tensors) => Object.values(tensors).every(({ data }) => isFinite(data));
