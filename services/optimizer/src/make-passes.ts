import type { trainer } from '@modelmill/contracts';
import { readOnnx, sparsify } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import type { JobClaim, Store } from '@modelmill/store';
import { bindingFor, registrySignature } from './binding.js';
import type { Binding } from './binding.js';
import type { Examples } from './examples.js';
import type { PlannedPass } from './pass-kind.js';
import type { PinnedPlan } from './pinned-plan.js';
import { trainChild } from './train-child.js';
import type { Trainers } from './trainers.js';

export interface PassDeps {
  readonly store: Pick<Store, 'jobs' | 'artifacts'>;
  readonly trainers: Trainers;
}

/** Tells a stage and how much of the work is done, from 0 to 1. */
export type Tell = (stage: string, done: number) => Promise<void>;

/** Passes over a plan's parent. */
export interface Order {
  readonly pinned: PinnedPlan;
  readonly examples: Examples;
  readonly passes: readonly PlannedPass[];
  /** What its trainings are named after. */
  readonly jobName: string;
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

/** One pass after the other. */
export async function makePasses(
  { store, trainers }: PassDeps,
  claim: JobClaim,
  { pinned, examples, passes, jobName }: Order,
  tell: Tell,
): Promise<MadePasses> {
  const { plan, parent } = pinned;
  const { signal, job } = claim;
  const childJobs = new Set(job.childJobs);
  const words: string[] = [];
  const notes: string[] = [];
  let model = readOnnx(await store.artifacts.read(parent.artifactSha256));
  for (const [i, pass] of passes.entries()) {
    signal.throwIfAborted();
    const onProgress: Tell = (stage, done) => tell(stage, (i + done) / passes.length);
    let trainings = 0;
    const train = async (stage: string, spec: trainer.TrainingSpec) => {
      const jobId = childJobId(jobName, i, trainings++);
      await claim.update({ childJobs: [...childJobs.add(jobId)] });
      const onTraining: Tell = (word, done) => onProgress(word === 'training' ? stage : word, done);
      const isCancelled = async () => (await store.jobs.get(job.id)).cancelRequested;
      const child = { jobId, spec, signal, isCancelled, onProgress: onTraining };
      return trainChild({ jobs: store.jobs, trainers }, child);
    };
    const context = { plan, examples, artifacts: store.artifacts, signal, train, onProgress };
    const made = await pass.make(model, { ...context, bindingOf: (current) => bindingOf(pinned, current) });
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
