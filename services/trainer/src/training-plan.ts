import type { FineTuning, LayerSpec, LossSpec, PresetSpec, StepOptions } from '@modelmill/autodiff';
import type { recipes, trainer } from '@modelmill/contracts';
import type { TokenizerSpec } from '@modelmill/data';
import { fineTuningSpec } from './fine-tuning-specs.js';
import { layerSpecs } from './layer-specs.js';
import { presetSpec } from './preset-specs.js';
import { word } from './spec-fields.js';
import { badName, oneStart, outOfRange, specMissing, unbuilt } from './errors.js';
import { schedules } from './schedule.js';
import type { Schedule } from './schedule.js';

const names = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$/;
const normalizations = ['standard', 'minmax', 'none'] as const;
const losses = ['cross_entropy', 'mse'] as const;
const tokenizers = ['character', 'byte_pair'] as const;

/** How a training goes on from a graph. */
interface GoingOn {
  readonly keepZeros: boolean;
  readonly fineTuning: FineTuning;
}

/** A training spec with its defaults filled in and its words understood. Plain data: it travels to a child process. */
export interface TrainingPlan {
  readonly model: string;
  readonly dataset: string;
  readonly datasetVersion: string;
  readonly normalize: (typeof normalizations)[number];
  readonly start:
    | { readonly kind: 'layers'; readonly layers: readonly LayerSpec[] }
    | { readonly kind: 'preset'; readonly preset: PresetSpec }
    | ({ readonly kind: 'version'; readonly version: string } & GoingOn)
    | ({ readonly kind: 'artifact'; readonly sha256: string } & GoingOn);
  /** Unset: cross-entropy where the target is a class, else the mean squared error. */
  readonly loss: LossSpec['kind'] | undefined;
  readonly optimizer: StepOptions['optimizer'];
  readonly learningRate: number;
  readonly schedule: Schedule;
  readonly clipNorm: number;
  readonly epochs: number;
  /** Instead of epochs; 0: as many as the epochs have. */
  readonly steps: number;
  /** Steps between two evaluations; 0: after each epoch. */
  readonly evaluateEvery: number;
  /** Tokens of an example, and how text becomes tokens: for datasets of text. */
  readonly context: number;
  readonly tokenizer: TokenizerSpec;
  readonly batchSize: number;
  /** Decimal, because JSON knows no 64-bit integers. */
  readonly seed: string;
  readonly distillation:
    | { readonly model: string; readonly version: string; readonly temperature: number; readonly mix: number }
    | undefined;
}

/** Checks what can be checked without looking anything up; throws an RpcError naming the field. */
export function planTraining(spec: trainer.TrainingSpec | undefined): TrainingPlan {
  if (spec === undefined) throw specMissing();
  const { optimizer, distillation } = spec;
  refuseUnbuilt(spec);
  if (spec.label !== '') name(spec.label, 'label');
  return {
    model: name(spec.model, 'model'),
    dataset: name(spec.data?.dataset ?? '', 'data.dataset'),
    datasetVersion: spec.data?.version ?? '',
    normalize: word(spec.data?.normalize || 'none', normalizations, 'data.normalize'),
    start: start(spec),
    loss: spec.loss === '' ? undefined : word(spec.loss, losses, 'loss'),
    ...optimizerOf(optimizer),
    schedule: word(optimizer?.schedule || 'constant', Object.keys(schedules) as Schedule[], 'optimizer.schedule'),
    clipNorm: range(optimizer?.clipNorm ?? 0, 0, 1e9, 'optimizer.clip_norm'),
    epochs: range(spec.epochs || 10, 1, 100_000, 'epochs'),
    batchSize: range(spec.batchSize || 64, 1, 65_536, 'batch_size'),
    steps: range(Number(spec.steps), 0, 100_000_000, 'steps'),
    evaluateEvery: range(spec.evaluateEvery, 0, 100_000_000, 'evaluate_every'),
    context: range(spec.data?.context || 64, 1, 65_536, 'data.context'),
    tokenizer: tokenizerOf(spec.data?.tokenizer),
    seed: spec.seed.toString(),
    distillation: distillation && {
      model: distillation.model === '' ? spec.model : name(distillation.model, 'distillation.model'),
      version: distillation.version,
      temperature: range(distillation.temperature || 4, 0.1, 100, 'distillation.temperature'),
      mix: range(distillation.mix || 0.7, 0, 1, 'distillation.mix'),
    },
  };
}

function start({ layers, base, preset }: trainer.TrainingSpec): TrainingPlan['start'] {
  const given = [...(layers.length > 0 ? ['layers'] : []), ...(preset ? ['preset'] : []), ...(base ? ['base'] : [])];
  if (given.length !== 1) throw oneStart(given);
  if (layers.length > 0) return { kind: 'layers', layers: layerSpecs(layers) };
  if (preset) return { kind: 'preset', preset: presetSpec(preset) };
  if (base?.source === undefined) throw oneStart([]);
  const { source, keepZeros } = base;
  const fineTuning = fineTuningSpec(base);
  switch (source.$case) {
    case 'version':
      return { kind: 'version', version: source.version, keepZeros, fineTuning };
    case 'artifactSha256':
      return { kind: 'artifact', sha256: source.artifactSha256, keepZeros, fineTuning };
  }
}

function tokenizerOf(tokenizer: trainer.Tokenizer | undefined): TokenizerSpec {
  const kind = word(tokenizer?.kind || 'character', tokenizers, 'data.tokenizer.kind');
  if (kind === 'character') return { kind };
  return { kind, vocabulary: range(tokenizer?.vocabulary || 1024, 257, 65_536, 'data.tokenizer.vocabulary') };
}

function optimizerOf(
  optimizer: recipes.TrainingOptimizer | undefined,
): Pick<TrainingPlan, 'optimizer' | 'learningRate'> {
  const kind = optimizer?.kind;
  switch (kind?.$case) {
    case 'sgd': {
      const { learningRate, momentum, nesterov } = kind.sgd;
      if (learningRate === 0) throw outOfRange('optimizer.sgd.learning_rate', 0, 'a number above 0');
      return {
        optimizer: { kind: 'sgd', momentum: range(momentum, 0, 0.9999, 'optimizer.sgd.momentum'), nesterov },
        learningRate: range(learningRate, 0, 1000, 'optimizer.sgd.learning_rate'),
      };
    }
    case 'adam':
    case undefined: {
      const adam = kind?.adam;
      return {
        optimizer: {
          kind: 'adam',
          beta1: range(adam?.beta1 || 0.9, 0, 0.999999, 'optimizer.adam.beta1'),
          beta2: range(adam?.beta2 || 0.999, 0, 0.999999, 'optimizer.adam.beta2'),
          epsilon: range(adam?.epsilon || 1e-8, 0, 1, 'optimizer.adam.epsilon'),
          weightDecay: range(adam?.weightDecay ?? 0, 0, 1, 'optimizer.adam.weight_decay'),
        },
        learningRate: range(adam?.learningRate || 0.001, 0, 1000, 'optimizer.adam.learning_rate'),
      };
    }
    default:
      throw unbuilt(`optimizer.${kind?.$case}`);
  }
}

function range(value: number, lo: number, hi: number, field: string): number {
  if (!(value >= lo && value <= hi)) throw outOfRange(field, value, `${lo} to ${hi}`);
  return value;
}

function name(got: string, field: string): string {
  if (!names.test(got)) throw badName(field, got);
  return got;
}

/** Fields whose meaning is settled and whose work is not done: refused, so that none is passed over in silence. */
function refuseUnbuilt({ optimizer, ...spec }: trainer.TrainingSpec): void {
  const given: Readonly<Record<string, boolean>> = {
    'optimizer.scheduled': optimizer?.scheduled !== undefined,
    'optimizer.clip_value': (optimizer?.clipValue ?? 0) !== 0,
    'optimizer.groups': (optimizer?.groups.length ?? 0) > 0,
    'optimizer.decay_on': (optimizer?.decayOn ?? '') !== '',
    'optimizer.accumulate': (optimizer?.accumulate ?? 0) > 1,
    'optimizer.ema': (optimizer?.ema ?? 0) !== 0,
    losses: spec.losses.length > 0,
    mode: spec.mode !== '',
    early_stopping: spec.earlyStopping !== undefined,
    restore_best: spec.restoreBest,
    auto: spec.auto,
    on_divergence: spec.onDivergence !== '',
    engine: spec.engine !== '' && spec.engine !== 'onnx',
    provider: spec.provider !== '' && spec.provider !== 'cpu',
    metrics: spec.metrics.length > 0,
  };
  const found = Object.keys(given).find((field) => given[field]);
  if (found !== undefined) throw unbuilt(found);
}
