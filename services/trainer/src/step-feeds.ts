import { counterRandom } from '@modelmill/data';
import type { TypedTensor } from '@modelmill/runtime';
import type { Lesson } from './examples.js';
import type { PreparedTraining } from './prepared-training.js';
import type { TrainingPlan } from './training-plan.js';

/** Streams of a job's seed: dropout masks take those from here on, one each, a place per step. */
const maskStreams = 50;

export type Feeds = Record<string, TypedTensor>;

/** What one step, counted from 0, is fed besides the state. */
export function stepFeeds(
  { step: graph }: PreparedTraining,
  lesson: Lesson,
  { plan, step, learningRate }: { plan: TrainingPlan; step: number; learningRate: number },
): Feeds {
  const { features, targets, learningRate: rate, corrections, dropout } = graph.inputs;
  const scalar = (value: number): TypedTensor => ({ dims: [], data: Float32Array.of(value) });
  const feeds: Feeds = {
    [features]: lesson.features,
    [targets]: lesson.targetTensor,
    [rate]: scalar(learningRate),
  };
  const betas = betasOf(plan.optimizer);
  if (corrections && betas) {
    const update = Math.floor(step / plan.accumulate) + 1;
    feeds[corrections.c1] = scalar(1 / (1 - betas.beta1 ** update));
    feeds[corrections.c2] = scalar(1 / (1 - betas.beta2 ** update));
  }
  const seed = BigInt(plan.seed);
  dropout.forEach(({ name, shape, rate: zeroed }, i) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const mask = counterRandom(seed, maskStreams + i).uniform(step, count);
    const kept = 1 / (1 - zeroed);
    for (let k = 0; k < count; k++) mask[k] = mask[k]! < zeroed ? 0 : kept;
    feeds[name] = { dims: shape, data: mask };
  });
  return feeds;
}

function betasOf(optimizer: TrainingPlan['optimizer']): { beta1: number; beta2: number } | undefined {
  switch (optimizer.kind) {
    case 'adam':
      return optimizer;
    case 'muon':
      return optimizer.adam;
    case 'sgd':
    case 'rms_prop':
    case 'adagrad':
    case 'lion':
      return undefined;
  }
}
