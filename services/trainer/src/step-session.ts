import type { DividedStep, TrainingStep } from '@modelmill/autodiff';
import { openScannedSession, openStatefulSession } from '@modelmill/runtime';
import type { ScannedSession, StatefulSession } from '@modelmill/runtime';
import { openDataParallelSession } from './data-parallel-session.js';
import type { ParallelStep } from './prepared-training.js';
import type { TrainingOrder } from './training-messages.js';
import type { TrainingPlan } from './training-plan.js';
import { trainingSessions } from './training-sessions.js';

/** A training's steps, whatever computes them: what is asked of an engine. */
export type Steps = Omit<StatefulSession, 'provider'> & Partial<Pick<ScannedSession, 'runEach'>>;

/** Opens a step, and the one that only gathers gradients where there is one, by the engine it was made for. */
export async function openSteps(
  step: ParallelStep | DividedStep,
  { provider }: Pick<TrainingPlan, 'provider'>,
  order: Pick<TrainingOrder, 'threads' | 'scanned'>,
): Promise<Steps> {
  if ('parallel' in step && step.parallel) return openDataParallelSession(step.parallel, order.threads);
  if ('model' in step) return openByOnnxRuntime(step, provider, order);
  const { openTfjsSession } = await import('@modelmill/tfjs'); // megabytes that other jobs do not need
  return openTfjsSession(step);
}

function openByOnnxRuntime(
  { model, gather, state, outputs }: TrainingStep,
  provider: TrainingPlan['provider'],
  { threads, scanned }: Pick<TrainingOrder, 'threads' | 'scanned'>,
): Promise<Steps> {
  const options: Parameters<typeof openStatefulSession>[2] = {
    providers: [provider],
    ...(threads === 0 ? {} : { threads }),
    ...trainingSessions,
    ...(gather ? { other: { model: gather.model, pairs: gather.state } } : {}),
  };
  return scanned
    ? openScannedSession(model, state, { ...options, told: [outputs.loss, outputs.gradientNorm] })
    : openStatefulSession(model, state, options);
}

/** Which of them computes a step, counted from 0, of so many: the last one makes an update of what was gathered, too. */
export const formOf = ({ accumulate }: Pick<TrainingPlan, 'accumulate'>, step: number, steps: number) =>
  (step + 1) % accumulate === 0 || step + 1 === steps ? 'model' : 'other';
