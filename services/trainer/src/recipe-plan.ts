import type { AdamSpec, StepOptions } from '@modelmill/autodiff';
import type { recipes } from '@modelmill/contracts';
import { excludes, outOfRange } from './errors.js';
import { schedules } from './schedule.js';
import type { Schedule } from './schedule.js';
import { range, word } from './spec-fields.js';

/** How weights are updated, with all defaults filled in. Plain data: it travels to a child process. */
export interface RecipePlan {
  readonly optimizer: StepOptions['optimizer'];
  readonly learningRate: number;
  readonly schedule: Schedule;
  readonly groups: NonNullable<StepOptions['groups']>;
  readonly decayMatricesOnly: boolean;
  /** Batches whose gradients make one update. */
  readonly accumulate: number;
  readonly clipNorm: number;
  readonly clipValue: number;
  /** 0: the served weights are the last ones. */
  readonly ema: number;
}

const at = 'optimizer';
type Kinds = NonNullable<recipes.TrainingOptimizer['kind']>;
type OfKind<C extends Kinds['$case']> = Extract<Kinds, { $case: C }>;
type Chosen = Pick<RecipePlan, 'optimizer' | 'learningRate'>;

const rate = (value: number, otherwise: number, field: string) => range(value || otherwise, 0, 1000, field);
const share = (value: number, otherwise: number, field: string) => range(value || otherwise, 0, 0.999999, field);
const decay = (value: number, field: string) => range(value, 0, 1, field);

function adamOf(given: { beta1: number; beta2: number; epsilon: number } | undefined, field: string): AdamSpec {
  return {
    beta1: share(given?.beta1 ?? 0, 0.9, `${field}.beta1`),
    beta2: share(given?.beta2 ?? 0, 0.999, `${field}.beta2`),
    epsilon: range(given?.epsilon || 1e-8, 0, 1, `${field}.epsilon`),
  };
}

const optimizers: { readonly [C in Kinds['$case']]: (kind: OfKind<C>) => Chosen } = {
  sgd({ sgd: { learningRate, momentum, nesterov } }) {
    if (learningRate === 0) throw outOfRange('optimizer.sgd.learning_rate', 0, 'a number above 0');
    return {
      optimizer: { kind: 'sgd', momentum: range(momentum, 0, 0.9999, 'optimizer.sgd.momentum'), nesterov },
      learningRate: rate(learningRate, 0, 'optimizer.sgd.learning_rate'),
    };
  },
  adam: ({ adam }) => ({
    optimizer: {
      kind: 'adam',
      ...adamOf(adam, 'optimizer.adam'),
      weightDecay: decay(adam.weightDecay, 'optimizer.adam.weight_decay'),
    },
    learningRate: rate(adam.learningRate, 0.001, 'optimizer.adam.learning_rate'),
  }),
  adamW: ({ adamW }) => ({
    optimizer: {
      kind: 'adam',
      ...adamOf(adamW, 'optimizer.adam_w'),
      weightDecay: decay(adamW.weightDecay ?? 0.01, 'optimizer.adam_w.weight_decay'),
    },
    learningRate: rate(adamW.learningRate, 0.001, 'optimizer.adam_w.learning_rate'),
  }),
  rmsProp: ({ rmsProp }) => ({
    optimizer: {
      kind: 'rms_prop',
      decay: share(rmsProp.decay, 0.99, 'optimizer.rms_prop.decay'),
      epsilon: range(rmsProp.epsilon || 1e-8, 0, 1, 'optimizer.rms_prop.epsilon'),
      momentum: range(rmsProp.momentum, 0, 0.9999, 'optimizer.rms_prop.momentum'),
    },
    learningRate: rate(rmsProp.learningRate, 0.01, 'optimizer.rms_prop.learning_rate'),
  }),
  adagrad: ({ adagrad }) => ({
    optimizer: { kind: 'adagrad', epsilon: range(adagrad.epsilon || 1e-10, 0, 1, 'optimizer.adagrad.epsilon') },
    learningRate: rate(adagrad.learningRate, 0.01, 'optimizer.adagrad.learning_rate'),
  }),
  lion: ({ lion }) => ({
    optimizer: {
      kind: 'lion',
      beta1: share(lion.beta1, 0.9, 'optimizer.lion.beta1'),
      beta2: share(lion.beta2, 0.99, 'optimizer.lion.beta2'),
      weightDecay: decay(lion.weightDecay, 'optimizer.lion.weight_decay'),
    },
    learningRate: rate(lion.learningRate, 0.0001, 'optimizer.lion.learning_rate'),
  }),
  muon({ muon }) {
    const learningRate = rate(muon.learningRate, 0.02, 'optimizer.muon.learning_rate');
    return {
      optimizer: {
        kind: 'muon',
        momentum: share(muon.momentum, 0.95, 'optimizer.muon.momentum'),
        weightDecay: decay(muon.weightDecay, 'optimizer.muon.weight_decay'),
        adam: { beta1: 0.9, beta2: 0.95, epsilon: 1e-8 },
        adamRate: rate(muon.adamLearningRate, 0.0003, 'optimizer.muon.adam_learning_rate') / learningRate,
      },
      learningRate,
    };
  },
};

const adamByDefault: Chosen = {
  optimizer: { kind: 'adam', ...adamOf(undefined, ''), weightDecay: 0 },
  learningRate: 0.001,
};

/** Throws an RpcError that names the field. */
export function planRecipe(given: recipes.TrainingOptimizer | undefined): RecipePlan {
  const kind = given?.kind;
  const chosen = kind ? (optimizers[kind.$case] as (kind: Kinds) => Chosen)(kind) : adamByDefault;
  return {
    ...chosen,
    schedule: scheduleOf(given),
    groups: (given?.groups ?? []).map(groupOf),
    decayMatricesOnly: word(given?.decayOn || 'all', ['all', 'matrices'], `${at}.decay_on`) === 'matrices',
    accumulate: range(given?.accumulate || 1, 1, 10_000, `${at}.accumulate`),
    clipNorm: range(given?.clipNorm ?? 0, 0, 1e9, `${at}.clip_norm`),
    clipValue: range(given?.clipValue ?? 0, 0, 1e9, `${at}.clip_value`),
    ema: range(given?.ema ?? 0, 0, 0.999999, `${at}.ema`),
  };
}

function groupOf(group: recipes.ParameterGroup, i: number): RecipePlan['groups'][number] {
  const field = `${at}.groups[${i}]`;
  if (group.weights.length === 0) throw outOfRange(`${field}.weights`, 'empty', 'at least one glob over weight names');
  return {
    weights: group.weights,
    learningRateScale: range(group.learningRateScale ?? 1, 0, 1000, `${field}.learning_rate_scale`),
    ...(group.weightDecay === undefined ? {} : { weightDecay: decay(group.weightDecay, `${field}.weight_decay`) }),
  };
}

function scheduleOf(given: recipes.TrainingOptimizer | undefined): Schedule {
  const { scheduled } = given ?? {};
  if (scheduled && given?.schedule) throw excludes(`${at}.schedule`, `${at}.scheduled`, 'both name a schedule');
  const field = scheduled ? `${at}.scheduled.kind` : `${at}.schedule`;
  const kind = word(scheduled?.kind || given?.schedule || 'constant', schedules, field);
  const of = `${at}.scheduled`;
  return {
    kind,
    warmupSteps: scheduled?.warmupSteps ?? 0,
    finalShare: range(scheduled?.finalShare ?? (kind === 'cosine' ? 0.01 : 0), 0, 1, `${of}.final_share`),
    everyEpochs: scheduled?.everyEpochs || 10,
    gamma: range(scheduled?.gamma || 0.1, 0, 1, `${of}.gamma`),
    power: range(scheduled?.power || 2, 0, 100, `${of}.power`),
    cycleFactor: range(scheduled?.cycleFactor || 1, 1, 100, `${of}.cycle_factor`),
    patience: scheduled?.patience || 5,
  };
}
