import { totalmem } from 'node:os';
import type { BuiltLayer } from '@modelmill/autodiff';
import type { TrainingPlan } from './training-plan.js';

/** Copies of the weights an optimizer keeps. */
const slots: { readonly [K in TrainingPlan['optimizer']['kind']]: number } = {
  sgd: 1,
  adam: 2,
  rms_prop: 2,
  adagrad: 1,
  lion: 1,
  muon: 2,
};

/**
 * Bytes a training will hold at its largest, roughly: weights and slots now, after the step and at the last evaluation, the
 * weights of the best one, gradients of two halves of a batch, and what every layer gives to a batch with its gradient.
 */
export function memoryEstimate(
  { optimizer, ema, accumulate, restoreBest }: Pick<TrainingPlan, 'optimizer' | 'ema' | 'accumulate' | 'restoreBest'>,
  parameters: number,
  layers: readonly BuiltLayer[],
  batchSize: number,
): number {
  const copies = 1 + slots[optimizer.kind] + (ema > 0 ? 1 : 0) + (accumulate > 1 ? 1 : 0);
  const outputs = layers.map(({ outputShape }) => outputShape.reduce((product, size) => product * size, 1));
  const given = outputs.reduce((sum, count) => sum + count, 0);
  return 4 * (parameters * (3 * copies + (restoreBest ? 3 : 2)) + 2 * batchSize * given);
}

/** Most of what this machine, or its container, has. */
export const memoryLimit = (): number => 0.8 * Math.min(process.constrainedMemory() || Infinity, totalmem());
