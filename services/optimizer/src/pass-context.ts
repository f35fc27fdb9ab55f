import type { jobs, trainer } from '@modelmill/contracts';
import type { Model } from '@modelmill/onnx';
import type { Binding } from './binding.js';
import type { Examples } from './examples.js';
import type { ModelArtifacts } from './model-files.js';

/** What is optimized, and with what. */
export interface PlanSubject {
  readonly model: string;
  readonly version: string;
  readonly data: trainer.TrainingData;
  readonly seed: bigint;
}

/** What a pass works with. */
export interface PassContext {
  /** Its versions are numbers. */
  readonly plan: PlanSubject;
  readonly examples: Examples;
  readonly artifacts: ModelArtifacts;
  readonly signal: AbortSignal;
  /** How a model takes the examples; a pass may have named its tensors anew. */
  bindingOf(model: Model): Binding;
  /** A training by the trainer, to its end. A pass may ask for several, in the same order at every try. */
  train(stage: string, spec: trainer.TrainingSpec): Promise<jobs.JobSucceeded>;
  onProgress(stage: string, done: number): Promise<void>;
}

/** A model a pass has made. */
export interface PassResult {
  readonly model: Model;
  /** What was done, as a version's lineage tells it. */
  readonly words: string;
  /** What the report's reader should know. */
  readonly notes: readonly string[];
}
