import { counterRandom } from '@modelmill/data';
import type { TypedTensor } from '@modelmill/runtime';
import type { Lesson } from './examples.js';
import type { PreparedTraining } from './prepared-training.js';
import type { TrainingPlan } from './training-plan.js';

/** Streams of a job's seed: dropout masks take those from here on, one each, a place per step. */
const maskStreams = 50;

export type Feeds = Record<string, TypedTensor>;

/**
 * What each step of a training, counted from 0, is fed besides the state. Its dropout masks last until the next step's are
 * made: they take the same memory.
 */
export function stepFeeds(
  { step: graph }: Pick<PreparedTraining, 'step'>,
  { optimizer, accumulate, seed }: Pick<TrainingPlan, 'optimizer' | 'accumulate' | 'seed'>,
): (lesson: Lesson, step: number, learningRate: number) => Feeds {
  const { features, targets, learningRate: rate, corrections, dropout } = graph.inputs;
  const scalar = (value: number): TypedTensor => ({ dims: [], data: Float32Array.of(value) });
  const betas = betasOf(optimizer);
  const masks = dropout.map(({ name, shape, rate: zeroed }, i) => ({
    name,
    zeroed,
    random: counterRandom(BigInt(seed), maskStreams + i),
    mask: { dims: shape, data: new Float32Array(shape.reduce((product, size) => product * size, 1)) },
  }));
  return (lesson, step, learningRate) => {
    const feeds: Feeds = {
      [features]: lesson.features,
      [targets]: lesson.targetTensor,
      [rate]: scalar(learningRate),
    };
    if (corrections && betas) {
      const update = Math.floor(step / accumulate) + 1;
      feeds[corrections.c1] = scalar(1 / (1 - betas.beta1 ** update));
      feeds[corrections.c2] = scalar(1 / (1 - betas.beta2 ** update));
    }
    for (const { name, zeroed, random, mask } of masks) {
      random.dropoutMask(step, zeroed, mask.data);
      feeds[name] = mask;
    }
    return feeds;
  };
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
