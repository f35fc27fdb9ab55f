import type { layers, optimizer, recipes, trainer } from '@modelmill/contracts';
import * as errors from './errors.js';
import { range, word } from './field-checks.js';
import type { Pattern } from './prune/prune-pattern.js';
import { cpus } from './quantize/int8-cpu.js';
import type { Cpu } from './quantize/int8-cpu.js';
import { calibrationMethods } from './quantize/quantization-ranges.js';
import type { CalibrationMethod } from './quantize/quantization-ranges.js';

const names = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$/;
const mostPasses = 10;
const blockSizes = [16, 32, 64, 128, 256];
const rounding = ['nearest', 'hqq', 'gptq'] as const;
const clusterStarts = ['density', 'linear'] as const;
const objectives = ['fastest', 'smallest'] as const;
const normalizations = ['standard', 'minmax', 'none'] as const;

export type PlannedPass =
  | {
      readonly kind: 'quantize_static';
      readonly samples: number;
      readonly calibration: CalibrationMethod;
      readonly cpu: Cpu;
      readonly equalize: boolean;
      readonly correctBiases: boolean;
    }
  | {
      readonly kind: 'prune_magnitude';
      readonly sparsity: number;
      /** Which weights stay, instead of the largest of all together. */
      readonly pattern: Pattern | undefined;
      readonly epochs: number;
      readonly learningRate: number;
    }
  | {
      readonly kind: 'prune_structured';
      /** One of both is 0. */
      readonly ratio: number;
      readonly multiplyAdds: number;
      readonly roundTo: number;
      readonly epochs: number;
      readonly learningRate: number;
    }
  | {
      readonly kind: 'distill';
      readonly student: readonly layers.Layer[];
      readonly epochs: number;
      readonly batchSize: number;
      readonly temperature: number;
      readonly mix: number;
      readonly optimizer: recipes.TrainingOptimizer | undefined;
    }
  | { readonly kind: 'quantize_dynamic'; readonly cpu: Cpu }
  | {
      readonly kind: 'quantize_weights';
      readonly bits: 4 | 8;
      readonly block: number;
      readonly method: (typeof rounding)[number];
      readonly symmetric: boolean;
      /** Rows that `gptq` looks at. */
      readonly samples: number;
    }
  | {
      readonly kind: 'share_weights';
      readonly clusters: number;
      readonly start: (typeof clusterStarts)[number];
    }
  | { readonly kind: 'store_bytes' }
  | { readonly kind: 'store_halves' };

/** Passes that write weights in another form, which no other pass reads. */
const lastKinds: ReadonlySet<PlannedPass['kind']> = new Set([
  'quantize_static',
  'quantize_dynamic',
  'quantize_weights',
  'share_weights',
  'store_bytes',
  'store_halves',
]);

/** An optimization spec with its defaults filled in. */
export interface OptimizationPlan {
  readonly model: string;
  readonly version: string;
  readonly passes: readonly PlannedPass[];
  readonly data: trainer.TrainingData;
  readonly maxAccuracyDrop: number;
  readonly seed: bigint;
  /** What is searched for, where there are no passes. */
  readonly goal: PlannedGoal | undefined;
}

export interface PlannedGoal {
  readonly optimize: (typeof objectives)[number];
  /** Infinity: any. */
  readonly maxLatencyMs: number;
  readonly maxBytes: number;
  readonly budgetMs: number;
}

/** Checks what can be checked without looking anything up; throws an RpcError naming the field. */
export function planOptimization(spec: optimizer.OptimizationSpec | undefined): OptimizationPlan {
  if (spec === undefined) throw errors.specMissing();
  if (spec.passes.length === 0 && !spec.goal) throw errors.noPasses();
  if (spec.passes.length > 0 && spec.goal) throw errors.passesAndGoal();
  if (spec.passes.length > mostPasses) throw errors.tooManyPasses(spec.passes.length, mostPasses);
  const passes = planPasses(spec.passes);
  return {
    model: name(spec.model, 'model'),
    version: name(spec.version, 'version'),
    passes,
    data: {
      dataset: name(spec.data?.dataset ?? '', 'data.dataset'),
      version: spec.data?.version ?? '',
      normalize: word(spec.data?.normalize || 'none', normalizations, 'data.normalize'),
      tokenizer: undefined,
      context: 0,
    },
    maxAccuracyDrop: range(spec.maxAccuracyDrop || 0.05, 0, 1, 'max_accuracy_drop'),
    seed: spec.seed,
    goal: spec.goal && planGoal(spec.goal),
  };
}

function planGoal(goal: optimizer.OptimizationGoal): PlannedGoal {
  return {
    optimize: word(goal.optimize || 'fastest', objectives, 'goal.optimize'),
    maxLatencyMs: range(goal.maxLatencyMs, 0, 1e9, 'goal.max_latency_ms') || Infinity,
    maxBytes: Number(goal.maxBytes) || Infinity,
    budgetMs: 1000 * range(goal.timeBudgetSeconds || 300, 1, 1_000_000, 'goal.time_budget_seconds'),
  };
}

/** Passes that may follow each other in this order, with their defaults. */
export function planPasses(wanted: readonly optimizer.Pass[]): PlannedPass[] {
  const passes = wanted.map((pass, i) => planPass(pass, `passes[${i}]`));
  const last = passes.findIndex(({ kind }) => lastKinds.has(kind));
  if (last >= 0 && last < passes.length - 1) throw errors.afterLast(`passes[${last + 1}]`, passes[last]!.kind);
  const distilled = passes.findIndex(({ kind }, i) => i > 0 && kind === 'distill');
  if (distilled >= 0) throw errors.distilledLater(`passes[${distilled}]`);
  return passes;
}

function planPass({ kind }: optimizer.Pass, at: string): PlannedPass {
  if (kind === undefined) throw errors.passWithoutKind(at);
  switch (kind.$case) {
    case 'quantizeStatic': {
      const { calibrationSamples, calibration, cpu, equalize, correctBiases } = kind.quantizeStatic;
      return {
        kind: 'quantize_static',
        samples: range(calibrationSamples || 256, 1, 1_000_000, `${at}.quantize_static.calibration_samples`),
        calibration: word(calibration || 'minmax', calibrationMethods, `${at}.quantize_static.calibration`),
        cpu: word(cpu || 'here', cpus, `${at}.quantize_static.cpu`),
        equalize,
        correctBiases,
      };
    }
    case 'pruneMagnitude': {
      const { finetuneEpochs, finetuneLearningRate } = kind.pruneMagnitude;
      const pattern = patternOf(kind.pruneMagnitude.pattern, `${at}.prune_magnitude.pattern`);
      if (pattern && kind.pruneMagnitude.sparsity !== 0) throw errors.sparsityOfPattern(`${at}.prune_magnitude`);
      const sparsity = pattern ? 1 - pattern.kept / pattern.of : kind.pruneMagnitude.sparsity;
      if (!(sparsity > 0 && sparsity < 1)) {
        throw errors.outOfRange(`${at}.prune_magnitude.sparsity`, sparsity, 'more than 0 and less than 1');
      }
      return {
        kind: 'prune_magnitude',
        sparsity,
        pattern,
        epochs: range(finetuneEpochs || 10, 1, 100_000, `${at}.prune_magnitude.finetune_epochs`),
        learningRate: range(finetuneLearningRate || 0.001, 0, 1000, `${at}.prune_magnitude.finetune_learning_rate`),
      };
    }
    case 'pruneStructured':
      return planStructured(kind.pruneStructured, `${at}.prune_structured`);
    case 'distill': {
      const { student, epochs, batchSize, temperature, mix, optimizer } = kind.distill;
      if (student.length === 0) throw errors.noStudent(`${at}.distill`);
      return {
        kind: 'distill',
        student,
        epochs: range(epochs || 30, 1, 100_000, `${at}.distill.epochs`),
        batchSize: range(batchSize || 64, 1, 65_536, `${at}.distill.batch_size`),
        temperature: range(temperature || 4, 0.1, 100, `${at}.distill.temperature`),
        mix: range(mix || 0.7, 0, 1, `${at}.distill.mix`),
        optimizer,
      };
    }
    case 'quantizeDynamic':
      return {
        kind: 'quantize_dynamic',
        cpu: word(kind.quantizeDynamic.cpu || 'here', cpus, `${at}.quantize_dynamic.cpu`),
      };
    case 'quantizeWeights':
      return planWeights(kind.quantizeWeights, `${at}.quantize_weights`);
    case 'shareWeights': {
      const { clusters, start } = kind.shareWeights;
      return {
        kind: 'share_weights',
        clusters: range(clusters || 16, 2, 256, `${at}.share_weights.clusters`),
        start: word(start || 'density', clusterStarts, `${at}.share_weights.start`),
      };
    }
    case 'storeBytes':
      return { kind: 'store_bytes' };
    case 'storeHalves':
      return { kind: 'store_halves' };
  }
}

function planStructured(
  { ratio, multiplyAdds, roundTo, finetuneEpochs, finetuneLearningRate }: optimizer.StructuredPruning,
  at: string,
): Extract<PlannedPass, { kind: 'prune_structured' }> {
  if ((ratio === 0) === (multiplyAdds === 0)) throw errors.oneAim(at, ratio, multiplyAdds);
  const [field, value] = ratio === 0 ? ['multiply_adds', multiplyAdds] : ['ratio', ratio];
  if (!(value > 0 && value < 1)) throw errors.outOfRange(`${at}.${field}`, value, 'more than 0 and less than 1');
  return {
    kind: 'prune_structured',
    ratio,
    multiplyAdds,
    roundTo: range(roundTo || 1, 1, 1024, `${at}.round_to`),
    epochs: range(finetuneEpochs || 10, 1, 100_000, `${at}.finetune_epochs`),
    learningRate: range(finetuneLearningRate || 0.001, 0, 1000, `${at}.finetune_learning_rate`),
  };
}

function planWeights(
  { bits, blockSize, method, symmetric, calibrationSamples }: optimizer.WeightQuantization,
  at: string,
): Extract<PlannedPass, { kind: 'quantize_weights' }> {
  const chosen = bits || 4;
  if (chosen !== 4 && chosen !== 8) throw errors.outOfRange(`${at}.bits`, bits, '4 or 8');
  const block = blockSize || 32;
  if (!blockSizes.includes(block)) throw errors.outOfRange(`${at}.block_size`, blockSize, blockSizes.join(', '));
  const rounded = word(method || 'nearest', rounding, `${at}.method`);
  if (rounded === 'hqq' && chosen !== 4) throw errors.wideHqq(at, chosen);
  if (rounded === 'hqq' && symmetric) throw errors.symmetricHqq(at);
  const samples = range(calibrationSamples || 128, 1, 1_000_000, `${at}.calibration_samples`);
  return { kind: 'quantize_weights', bits: chosen, block, method: rounded, symmetric, samples };
}

function name(got: string, field: string): string {
  if (!names.test(got)) throw errors.badName(field, got);
  return got;
}

function patternOf(got: string, field: string): Pattern | undefined {
  if (got === '') return undefined;
  const [, kept, of] = /^(\d{1,2}):(\d{1,2})$/.exec(got) ?? [];
  const pattern = { kept: Number(kept), of: Number(of) };
  if (!(pattern.kept > 0 && pattern.kept < pattern.of)) throw errors.badPattern(field, got);
  return pattern;
}
