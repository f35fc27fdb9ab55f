import type { trainer } from '@modelmill/contracts';
import { DatasetError } from '@modelmill/data';
import { OnnxFormatError, ShapeError, readOnnx, sparsify, writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { RunnerError } from '@modelmill/runtime';
import { RpcError } from '@modelmill/service-kit';
import { JobFailedError, NotFoundError } from '@modelmill/store';
import type { JobClaim, JobResult, Store } from '@modelmill/store';
import { classifierFor, registrySignature } from './classifier.js';
import type { Classifier } from './classifier.js';
import { compareVersions } from './compare-versions.js';
import { readExamples } from './examples.js';
import type { Examples } from './examples.js';
import { makePass } from './passes.js';
import { pinnedPlan } from './pinned-plan.js';
import type { PinnedPlan } from './pinned-plan.js';
import { registerResult } from './register-result.js';
import type { Figures } from './report.js';
import { trainChild } from './train-child.js';
import type { Trainers } from './trainers.js';
import type { InTurn } from './turns.js';

export interface OptimizeDeps {
  readonly store: Pick<Store, 'registry' | 'datasets' | 'jobs' | 'artifacts'>;
  readonly trainers: Trainers;
  /** Latencies are measured by one job at a time. */
  readonly inTurn: InTurn;
}

/** Tells a stage and how much of the job is done, from 0 to 1. */
type Tell = (stage: string, done: number) => Promise<void>;

/** Share of a job's progress that its passes make up; the rest is evaluation. */
const passesShare = 0.8;

/** The name of the training that a pass of a job waits for. */
export const childJobId = (jobId: string, pass: number) => `${jobId}-pass${pass}`;

/** Makes the passes of a job, holds the result against its parent, and registers it: once, however often it is tried. */
export async function optimizeJob(deps: OptimizeDeps, claim: JobClaim): Promise<JobResult> {
  try {
    return await optimize(deps, claim);
  } catch (error) {
    throw isFinal(error) ? new JobFailedError(error.message, { cause: error }) : error;
  }
}

/** Whether every other try would end in the same way. */
function isFinal(error: unknown): error is Error {
  const kinds = [RpcError, NotFoundError, DatasetError, OnnxFormatError, ShapeError];
  if (kinds.some((kind) => error instanceof kind)) return true;
  return error instanceof RunnerError && ['model', 'timeout', 'memory'].includes(error.kind);
}

async function optimize(deps: OptimizeDeps, claim: JobClaim): Promise<JobResult> {
  const { artifacts } = deps.store;
  const tell = teller(claim);
  await tell('preparing', 0);
  const pinned = await pinnedPlan(deps.store, claim);
  const { plan, parent, dataset } = pinned;
  using examples = await readExamples(artifacts, dataset);

  const { model: dense, words, notes } = await makePasses(deps, claim, pinned, examples, tell);
  const model = sparsify(dense);
  if (model.graph.sparseInitializers.size > 0) {
    notes.push('Zeros are left out of the file, which makes it smaller; answers take the same time as with them.');
  }
  const artifact = await artifacts.put(writeOnnx(model));
  const { engine, ...figures } = await deps.inTurn(async () => {
    claim.signal.throwIfAborted();
    await tell('evaluating', passesShare);
    return compareVersions({
      artifacts,
      versions: {
        parent: { sha256: parent.artifactSha256, classifier: pinned.classifier },
        candidate: { sha256: artifact.sha256, classifier: classifierOf(pinned, model) },
      },
      table: examples.table,
      rows: examples.test,
      signal: claim.signal,
      onMeasuring: () => tell('measuring', (1 + passesShare) / 2),
    });
  });
  checkAccuracy(figures, plan.maxAccuracyDrop, examples.test.length);

  const report = {
    model: plan.model,
    job: claim.job.id,
    passes: words,
    notes,
    dataset: { name: dataset.dataset, version: dataset.version, evaluated_rows: examples.test.length },
    parent: { version: parent.version, sha256: parent.artifactSha256, ...figures.parent },
    candidate: { sha256: artifact.sha256, ...figures.candidate },
    engine,
  };
  return registerResult(deps.store, claim, { model, artifact, parent, figures, report });
}

/** One pass after the other. */
async function makePasses(
  { store, trainers }: OptimizeDeps,
  claim: JobClaim,
  pinned: PinnedPlan,
  examples: Examples,
  tell: Tell,
): Promise<{ model: Model; words: string[]; notes: string[] }> {
  const { plan, parent } = pinned;
  const { signal, job } = claim;
  const childJobs = new Set(job.childJobs);
  const words: string[] = [];
  const notes: string[] = [];
  let model = readOnnx(await store.artifacts.read(parent.artifactSha256));
  for (const [i, pass] of plan.passes.entries()) {
    signal.throwIfAborted();
    const onProgress: Tell = (stage, done) => tell(stage, (passesShare * (i + done)) / plan.passes.length);
    const train = async (stage: string, spec: trainer.TrainingSpec) => {
      const jobId = childJobId(job.id, i);
      await claim.update({ childJobs: [...childJobs.add(jobId)] });
      const onTraining: Tell = (word, done) => onProgress(word === 'training' ? stage : word, done);
      const isCancelled = async () => (await store.jobs.get(job.id)).cancelRequested;
      const child = { jobId, spec, signal, isCancelled, onProgress: onTraining };
      return trainChild({ jobs: store.jobs, trainers }, child);
    };
    const context = { plan, examples, artifacts: store.artifacts, signal, train, onProgress };
    const made = await makePass(model, pass, {
      ...context,
      classifierOf: (current) => classifierOf(pinned, current),
    });
    model = made.model;
    words.push(made.words);
    notes.push(...made.notes);
  }
  return { model, words, notes };
}

/** A network made anew may name its tensors in another way than its parent. */
const classifierOf = ({ plan, examples }: PinnedPlan, model: Model): Classifier =>
  classifierFor(plan.model, registrySignature(model), examples);

/** Writes where something has changed noticeably. */
function teller(claim: JobClaim): Tell {
  let told = { stage: '', done: -1 };
  return async (stage, done) => {
    if (stage === told.stage && Math.abs(done - told.done) < 0.01) return;
    told = { stage, done };
    claim.progressed(told);
    await claim.update(told);
  };
}

function checkAccuracy(
  { parent, candidate }: Readonly<Record<'parent' | 'candidate', Figures>>,
  allowed: number,
  rows: number,
): void {
  const drop = parent.accuracy - candidate.accuracy;
  if (drop <= allowed + 1e-9) return; // the last bits of a difference of fractions do not decide
  throw new JobFailedError(
    `accuracy fell from ${parent.accuracy.toFixed(4)} to ${candidate.accuracy.toFixed(4)} on ${rows} held-out rows: ` +
      `a drop of ${drop.toFixed(4)}, max_accuracy_drop is ${allowed}`,
  );
}
