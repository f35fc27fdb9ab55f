import type { jobs, trainer } from '@modelmill/contracts';
import { sparsify } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { bindingFor, registrySignature } from './binding.js';
import type { Binding } from './binding.js';
import type { Examples } from './examples.js';
import { openModel } from './model-files.js';
import type { ModelArtifacts } from './model-files.js';
import type { PlannedPass } from './pass-kind.js';
import type { PinnedPlan } from './pinned-plan.js';

/** Tells a stage and how much of the work is done, from 0 to 1. */
export type Tell = (stage: string, done: number) => Promise<void>;

export interface PassDeps {
  readonly artifacts: ModelArtifacts;
  /** A training by the trainer, to its end: which of a pass, from 0. */
  train(training: PassTraining): Promise<jobs.JobSucceeded>;
  readonly tell: Tell;
}

export interface PassTraining {
  readonly pass: number;
  readonly training: number;
  readonly stage: string;
  readonly spec: trainer.TrainingSpec;
}

/** Passes over a plan's parent. */
export interface Order {
  readonly pinned: PinnedPlan;
  readonly examples: Examples;
  readonly passes: readonly PlannedPass[];
}

export interface MadePasses {
  readonly model: Model;
  /** What was done, pass by pass. */
  readonly words: readonly string[];
  readonly notes: readonly string[];
}

/** The name of a training that a pass of a job waits for: the same at every try. */
export const childJobId = (jobName: string, pass: number, training = 0) =>
  training === 0 ? `${jobName}-pass${pass}` : `${jobName}-pass${pass}-${training}`;

/** Share of the work that passes make up; the rest is evaluation. */
export const passesShare = 0.8;

/** How much of the work is done where so much of a pass is. */
export const passDone = (pass: number, done: number, passes: number) => (passesShare * (pass + done)) / passes;

/** Who ends passes ends their process. */
export const never: AbortSignal = new AbortController().signal;

/** One pass after the other. */
export async function makePasses(
  { artifacts, train, tell }: PassDeps,
  { pinned, examples, passes }: Order,
): Promise<MadePasses> {
  const { plan, parent } = pinned;
  const words: string[] = [];
  const notes: string[] = [];
  let model = await openModel(artifacts, parent.artifactSha256);
  for (const [pass, { make }] of passes.entries()) {
    let trainings = 0;
    const made = await make(model, {
      plan,
      examples,
      artifacts,
      signal: never,
      bindingOf: (current) => bindingOf(pinned, current),
      train: (stage, spec) => train({ pass, training: trainings++, stage, spec }),
      onProgress: (stage, done) => tell(stage, passDone(pass, done, passes.length)),
    });
    model = made.model;
    words.push(made.words);
    notes.push(...made.notes);
  }
  const packed = sparsify(model);
  if (packed.graph.sparseInitializers.size > 0) {
    notes.push('Zeros are left out of the file, which makes it smaller; answers take the same time as with them.');
  }
  return { model: packed, words, notes };
}

/** A network made anew may name its tensors in another way than its parent. */
export const bindingOf = ({ plan, task }: PinnedPlan, model: Model): Binding =>
  bindingFor(plan.model, registrySignature(model), task);
