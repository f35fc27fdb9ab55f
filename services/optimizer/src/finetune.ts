import { trainer as contract } from '@modelmill/contracts';
import type { trainer } from '@modelmill/contracts';
import type { Model } from '@modelmill/onnx';
import type { Examples } from './examples.js';
import { range } from './field-checks.js';
import { keepModel, openModel } from './model-files.js';
import type { PassContext, PlanSubject } from './pass-context.js';

/** Examples of a step. */
export const finetuneBatch = 64;

/** How long a pruned model is trained. */
export interface FineTuning {
  readonly epochs: number;
  readonly learningRate: number;
}

interface FineTuningFields {
  readonly finetuneEpochs: number;
  readonly finetuneLearningRate: number;
}

/** The two fields that messages of passes with fine-tuning have. */
export const planFineTuning = (fields: FineTuningFields, at: string): FineTuning => ({
  epochs: range(fields.finetuneEpochs || 10, 1, 100_000, `${at}.finetune_epochs`),
  learningRate: range(fields.finetuneLearningRate || 0.001, 0, 1000, `${at}.finetune_learning_rate`),
});

interface Recovery {
  /** Zeros of the model stay. */
  readonly keepZeros?: boolean;
  /** More zeros come on the way. */
  readonly pruning?: trainer.GradualPruning;
  /** Weight of the answers of the version that is optimized. */
  readonly parentWeight?: number;
}

/** What the trainer makes of a model by training all its weights. */
export async function finetuned(
  model: Model,
  { epochs, learningRate }: FineTuning,
  { plan, artifacts, examples, train }: PassContext,
  { keepZeros = false, pruning, parentWeight = 0 }: Recovery = {},
): Promise<Model> {
  const batchSize = Math.min(finetuneBatch, examples.train.length);
  const { sha256 } = await keepModel(artifacts, model);
  const spec = contract.TrainingSpec.fromPartial({
    ...childSpec(plan),
    base: { source: { $case: 'artifactSha256', artifactSha256: sha256 }, keepZeros },
    data: { ...plan.data, normalize: '' }, // the graph has its own
    ...(pruning ? { pruning } : {}),
    ...(parentWeight > 0 ? { distillation: { version: plan.version, mix: parentWeight } } : {}),
    // what is left of the rate at the end decides how near the end is
    optimizer: { kind: { $case: 'adam', adam: { learningRate } }, schedule: 'cosine' },
    ...lengthOf(epochs, batchSize, examples),
    batchSize,
  });
  const { artifactSha256 } = await train('fine-tuning', spec);
  return openModel(artifacts, artifactSha256);
}

/** Trainings of text count steps: as many as go through all its windows so often. */
const lengthOf = (epochs: number, batchSize: number, { task, train }: Examples) =>
  task.kind === 'text' ? { steps: BigInt(epochs * Math.floor(train.length / batchSize)) } : { epochs };

/** What every training of a pass says. */
export const childSpec = ({ model, data, seed }: PlanSubject) => ({ model, data, seed, artifactOnly: true });
