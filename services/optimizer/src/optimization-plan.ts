import type { optimizer, trainer } from '@modelmill/contracts';
import { badName, badWord, noPasses, noStudent, outOfRange, passWithoutKind, quantizedThenTrained } from './errors.js';
import { specMissing } from './errors.js';

const names = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$/;
export const calibrations = ['minmax', 'percentile'] as const;

export type PlannedPass =
  | {
      readonly kind: 'quantize_static';
      readonly samples: number;
      readonly calibration: (typeof calibrations)[number];
    }
  | {
      readonly kind: 'prune_magnitude';
      readonly sparsity: number;
      readonly epochs: number;
      readonly learningRate: number;
    }
  | {
      readonly kind: 'distill';
      readonly student: readonly trainer.Layer[];
      readonly epochs: number;
      readonly batchSize: number;
      readonly temperature: number;
      readonly mix: number;
      readonly optimizer: trainer.TrainingOptimizer | undefined;
    };

/** An optimization spec with its defaults filled in. */
export interface OptimizationPlan {
  readonly model: string;
  readonly version: string;
  readonly passes: readonly PlannedPass[];
  readonly data: trainer.TrainingData;
  readonly maxAccuracyDrop: number;
  readonly seed: bigint;
}

/** Checks what can be checked without looking anything up; throws an RpcError naming the field. */
export function planOptimization(spec: optimizer.OptimizationSpec | undefined): OptimizationPlan {
  if (spec === undefined) throw specMissing();
  if (spec.passes.length === 0) throw noPasses();
  const passes = spec.passes.map((pass, i) => planPass(pass, `passes[${i}]`));
  const quantized = passes.findIndex(({ kind }) => kind === 'quantize_static');
  if (quantized >= 0 && quantized < passes.length - 1) throw quantizedThenTrained(`passes[${quantized + 1}]`);
  return {
    model: name(spec.model, 'model'),
    version: name(spec.version, 'version'),
    passes,
    data: { normalize: '', version: '', ...spec.data, dataset: name(spec.data?.dataset ?? '', 'data.dataset') },
    maxAccuracyDrop: range(spec.maxAccuracyDrop || 0.05, 0, 1, 'max_accuracy_drop'),
    seed: spec.seed,
  };
}

function planPass({ kind }: optimizer.Pass, at: string): PlannedPass {
  if (kind === undefined) throw passWithoutKind(at);
  switch (kind.$case) {
    case 'quantizeStatic': {
      const { calibrationSamples, calibration } = kind.quantizeStatic;
      const method = calibrations.find((word) => word === (calibration || 'minmax'));
      if (!method) throw badWord(`${at}.quantize_static.calibration`, calibration, calibrations);
      return {
        kind: 'quantize_static',
        samples: range(calibrationSamples || 256, 1, 1_000_000, `${at}.quantize_static.calibration_samples`),
        calibration: method,
      };
    }
    case 'pruneMagnitude': {
      const { sparsity, finetuneEpochs, finetuneLearningRate } = kind.pruneMagnitude;
      if (!(sparsity > 0 && sparsity < 1)) {
        throw outOfRange(`${at}.prune_magnitude.sparsity`, sparsity, 'more than 0 and less than 1');
      }
      return {
        kind: 'prune_magnitude',
        sparsity,
        epochs: range(finetuneEpochs || 10, 1, 100_000, `${at}.prune_magnitude.finetune_epochs`),
        learningRate: range(finetuneLearningRate || 0.001, 0, 1000, `${at}.prune_magnitude.finetune_learning_rate`),
      };
    }
    case 'distill': {
      const { student, epochs, batchSize, temperature, mix, optimizer } = kind.distill;
      if (student.length === 0) throw noStudent(`${at}.distill`);
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
