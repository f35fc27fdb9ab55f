import { featureLosses } from '@modelmill/autodiff';
import type { FeatureLoss, FineTuning, LayerSpec, LossTerm, PresetSpec } from '@modelmill/autodiff';
import type { recipes, trainer } from '@modelmill/contracts';
import type { TokenizerSpec } from '@modelmill/data';
import { fineTuningSpec } from './fine-tuning-specs.js';
import { layerSpecs } from './layer-specs.js';
import { planPruning } from './gradual-pruning.js';
import type { PlannedPruning } from './gradual-pruning.js';
import { presetSpec } from './preset-specs.js';
import { range, word } from './spec-fields.js';
import { badName, excludes, oneStart, outOfRange, specMissing, tfjsOnCpu, wantsBase } from './errors.js';
import { planRecipe } from './recipe-plan.js';
import type { RecipePlan } from './recipe-plan.js';

const names = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$/;
const normalizations = ['standard', 'minmax', 'none'] as const;
const losses = ['cross_entropy', 'binary_cross_entropy', 'mse', 'mae', 'huber'] as const;
const featureKinds = Object.keys(featureLosses) as FeatureLoss[];
const modes = ['mini_batch', 'full_batch', 'stochastic'] as const;
/** Where steps are computed. */
const engines = ['onnx', 'tfjs'] as const;
const providers = ['cpu', 'webgpu', 'cuda'] as const;
const tokenizers = ['character', 'byte_pair'] as const;

/** How a training goes on from a graph. */
interface GoingOn {
  readonly keepZeros: boolean;
  readonly fineTuning: FineTuning;
}

/** A term of a loss, its class weights still by the classes' names. */
export type PlannedLoss = Exclude<LossTerm, { kind: 'cross_entropy' }> | PlannedCrossEntropy;
type PlannedCrossEntropy = Omit<Extract<LossTerm, { kind: 'cross_entropy' }>, 'classWeights'> & {
  readonly classWeights?: Readonly<Record<string, number>>;
};

/** A training spec with its defaults filled in and its words understood. Plain data: it travels to a child process. */
export interface TrainingPlan extends RecipePlan {
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
  readonly losses: readonly PlannedLoss[] | undefined;
  /** `full_batch`: as many examples per step as the training split has. */
  readonly mode: (typeof modes)[number];
  /** Undefined: all epochs are trained. */
  readonly earlyStopping: { readonly patience: number; readonly minDelta: number } | undefined;
  /** The figure that says which evaluation is the best. */
  readonly monitored: string;
  readonly restoreBest: boolean;
  /** Optimizer, rate and batch size are picked by short trials. */
  readonly auto: boolean;
  /** Weights of the base that become zero on the way. */
  readonly pruning: PlannedPruning | undefined;
  /** Nothing is trained: what comes out is how much each weight matters. */
  readonly importance: boolean;
  /** A loss that is no number: back to the last checkpoint with half the rate; else the job fails. */
  readonly rollBack: boolean;
  /** Empty: those that fit the target. */
  readonly metrics: readonly string[];
  readonly epochs: number;
  /** Instead of epochs; 0: as many as the epochs have. */
  readonly steps: number;
  /** Steps between two evaluations; 0: after each epoch. */
  readonly evaluateEvery: number;
  /** Tokens of an example, and how text becomes tokens: for datasets of text. */
  readonly context: number;
  readonly tokenizer: TokenizerSpec;
  readonly batchSize: number;
  /** Whether it is there to be used is another question. */
  readonly provider: (typeof providers)[number];
  /** What runs and differentiates the steps. */
  readonly engine: (typeof engines)[number];
  /** Decimal, because JSON knows no 64-bit integers. */
  readonly seed: string;
  readonly distillation:
    | {
        readonly model: string;
        readonly version: string;
        readonly temperature: number;
        readonly mix: number;
        readonly features: readonly PlannedFeature[];
      }
    | undefined;
}

/** A hidden value of the student that learns to be like one of the teacher, both still by the names they were given. */
export interface PlannedFeature {
  readonly teacher: string;
  readonly student: string;
  readonly weight: number;
  readonly loss: FeatureLoss;
}

/** Checks what can be checked without looking anything up; throws an RpcError naming the field. */
export function planTraining(spec: trainer.TrainingSpec | undefined): TrainingPlan {
  if (spec === undefined) throw specMissing();
  const { optimizer, distillation, earlyStopping } = spec;
  if (spec.label !== '') name(spec.label, 'label');
  return {
    model: name(spec.model, 'model'),
    dataset: name(spec.data?.dataset ?? '', 'data.dataset'),
    datasetVersion: spec.data?.version ?? '',
    normalize: word(spec.data?.normalize || 'none', normalizations, 'data.normalize'),
    start: start(spec),
    ...planRecipe(optimizer),
    losses: lossesOf(spec),
    mode: modeOf(spec),
    earlyStopping: earlyStopping && {
      patience: earlyStopping.patience || 5,
      minDelta: range(earlyStopping.minDelta, 0, 1e9, 'early_stopping.min_delta'),
    },
    monitored: earlyStopping?.metric || 'loss',
    restoreBest: spec.restoreBest,
    auto: autoOf(spec),
    pruning: pruningOf(spec),
    importance: importanceOf(spec),
    rollBack: word(spec.onDivergence || 'stop', ['stop', 'roll_back'], 'on_divergence') === 'roll_back',
    metrics: spec.metrics,
    epochs: range(spec.epochs || 10, 1, 100_000, 'epochs'),
    batchSize: spec.mode === 'stochastic' ? 1 : range(spec.batchSize || 64, 1, 65_536, 'batch_size'),
    steps: range(Number(spec.steps), 0, 100_000_000, 'steps'),
    evaluateEvery: range(spec.evaluateEvery, 0, 100_000_000, 'evaluate_every'),
    context: range(spec.data?.context || 64, 1, 65_536, 'data.context'),
    tokenizer: tokenizerOf(spec.data?.tokenizer),
    engine: engineOf(spec),
    provider: word(spec.provider || 'cpu', providers, 'provider'),
    seed: spec.seed.toString(),
    distillation: distillation && {
      model: distillation.model === '' ? spec.model : name(distillation.model, 'distillation.model'),
      version: distillation.version,
      temperature: range(distillation.temperature || 4, 0.1, 100, 'distillation.temperature'),
      mix: range(distillation.mix || 0.7, 0, 1, 'distillation.mix'),
      features: distillation.features.map((feature, i) => featureOf(feature, `distillation.features[${i}]`)),
    },
  };
}

function featureOf({ teacher, student, weight, loss }: recipes.FeatureLoss, at: string): PlannedFeature {
  for (const [side, got] of Object.entries({ teacher, student })) {
    if (got === '') throw outOfRange(`${at}.${side}`, 'empty', 'the name of a value or a node');
  }
  return {
    teacher,
    student,
    weight: range(weight || 1, 0, 1e6, `${at}.weight`),
    loss: word(loss || 'mse', featureKinds, `${at}.loss`),
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

function modeOf({ mode, batchSize }: trainer.TrainingSpec): TrainingPlan['mode'] {
  const found = word(mode || 'mini_batch', modes, 'mode');
  if (found !== 'mini_batch' && batchSize !== 0) {
    throw excludes('mode', 'batch_size', `${found} decides how many examples a step has`);
  }
  return found;
}

function autoOf({ auto, batchSize, mode, optimizer, distillation }: trainer.TrainingSpec): boolean {
  if (!auto) return false;
  const why = 'auto picks optimizer, rate and batch size';
  if (batchSize !== 0) throw excludes('auto', 'batch_size', why);
  if (distillation) throw excludes('auto', 'distillation', 'its trials have no teacher');
  if (mode !== '' && mode !== 'mini_batch') throw excludes('auto', 'mode', why);
  if (optimizer?.kind !== undefined) throw excludes('auto', `optimizer.${optimizer.kind.$case}`, why);
  return true;
}

function pruningOf(spec: trainer.TrainingSpec): PlannedPruning | undefined {
  if (!spec.pruning) return undefined;
  if (!spec.base) throw wantsBase('pruning');
  const others = { auto: spec.auto, early_stopping: spec.earlyStopping, restore_best: spec.restoreBest };
  const other = Object.entries(others).find(([, value]) => value);
  if (other) throw excludes('pruning', other[0], 'what is served has been pruned to the end');
  if (spec.base.lora) throw excludes('pruning', 'base.lora', 'adapters fill what was zero');
  return planPruning(spec.pruning);
}

function importanceOf(spec: trainer.TrainingSpec): boolean {
  if (!spec.importance) return false;
  if (!spec.base || !spec.artifactOnly) throw wantsBase('importance', ' and artifact_only: it trains nothing');
  const { auto, pruning, distillation, earlyStopping, restoreBest, base, optimizer } = spec;
  const others = {
    auto,
    pruning,
    distillation,
    early_stopping: earlyStopping,
    restore_best: restoreBest,
    optimizer,
    'base.lora': base.lora,
    'base.head': base.head,
  };
  const other = Object.entries(others).find(([, value]) => value);
  if (other) throw excludes('importance', other[0], 'nothing is trained');
  return true;
}

function lossesOf({ loss, losses: terms }: trainer.TrainingSpec): readonly PlannedLoss[] | undefined {
  if (loss !== '' && terms.length > 0) throw excludes('loss', 'losses', 'both name a loss');
  if (terms.length > 0) return terms.map((term, i) => lossTerm(term, `losses[${i}]`));
  if (loss === '') return undefined;
  const kind = word(loss, losses, 'loss');
  return [kind === 'huber' ? { kind, delta: 1 } : { kind }];
}

function lossTerm(term: recipes.LossTerm, at: string): PlannedLoss {
  const kind = word(term.kind, losses, `${at}.kind`);
  const weight = range(term.weight || 1, 0, 1e6, `${at}.weight`);
  const { classWeights, ignoreIndex } = term;
  const refused = (field: string, set: boolean) => {
    if (set) throw outOfRange(`${at}.${field}`, 'set', `it left out for ${kind}`);
  };
  refused('class_weights', kind !== 'cross_entropy' && Object.keys(classWeights).length > 0);
  refused('label_smoothing', kind !== 'cross_entropy' && term.labelSmoothing !== 0);
  refused('ignore_index', kind !== 'cross_entropy' && ignoreIndex !== undefined);
  refused('delta', kind !== 'huber' && term.delta !== 0);
  refused('positive_weight', kind !== 'binary_cross_entropy' && term.positiveWeight !== 0);
  switch (kind) {
    case 'cross_entropy':
      for (const [name, factor] of Object.entries(classWeights))
        range(factor, 0, 1e6, `${at}.class_weights['${name}']`);
      return {
        kind,
        weight,
        ...(Object.keys(classWeights).length > 0 ? { classWeights } : {}),
        labelSmoothing: range(term.labelSmoothing, 0, 0.999, `${at}.label_smoothing`),
        ...(ignoreIndex === undefined ? {} : { ignoreIndex: Number(ignoreIndex) }),
      };
    case 'binary_cross_entropy':
      return { kind, weight, positiveWeight: range(term.positiveWeight || 1, 0, 1e6, `${at}.positive_weight`) };
    case 'huber':
      return { kind, weight, delta: range(term.delta || 1, 1e-9, 1e9, `${at}.delta`) };
    case 'mse':
    case 'mae':
      return { kind, weight };
  }
}

function tokenizerOf(tokenizer: trainer.Tokenizer | undefined): TokenizerSpec {
  const kind = word(tokenizer?.kind || 'character', tokenizers, 'data.tokenizer.kind');
  if (kind === 'character') return { kind };
  return { kind, vocabulary: range(tokenizer?.vocabulary || 1024, 257, 65_536, 'data.tokenizer.vocabulary') };
}

function name(got: string, field: string): string {
  if (!names.test(got)) throw badName(field, got);
  return got;
}

function engineOf({ engine, provider }: trainer.TrainingSpec): TrainingPlan['engine'] {
  const chosen = word(engine || 'onnx', engines, 'engine');
  if (chosen === 'tfjs' && provider !== '' && provider !== 'cpu') throw tfjsOnCpu(provider);
  return chosen;
}
