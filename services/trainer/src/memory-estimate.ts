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
 * Bytes a training will hold at its largest, roughly: weights, slots and gradients now and after the step, and what every
 * layer gives to a batch with its gradient.
 */
export function memoryEstimate(
  { optimizer, ema }: Pick<TrainingPlan, 'optimizer' | 'ema'>,
  parameters: number,
  layers: readonly BuiltLayer[],
  batchSize: number,
): number {
  const copies = 1 + slots[optimizer.kind] + (ema > 0 ? 1 : 0);
  const outputs = layers.map(({ outputShape }) => outputShape.reduce((product, size) => product * size, 1));
  const given = outputs.reduce((sum, count) => sum + count, 0);
  return 4 * (parameters * (2 * copies + 1) + 2 * batchSize * given);
}

/** Most of what this machine, or its container, has. */
export const memoryLimit = (): number => 0.8 * Math.min(process.constrainedMemory() || Infinity, totalmem());
