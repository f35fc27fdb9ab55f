import { datasets, jobs, optimizer, registry, trainer } from '@modelmill/contracts';
import type { JobClaim, Store } from '@modelmill/store';
import type { Measured } from '../analysis/measure-forms.js';
import type { Candidate } from '../candidate.js';
import { childJobId, passDone } from '../make-passes.js';
import type { Tell } from '../make-passes.js';
import type { PinnedPlan } from '../pinned-plan.js';
import { trainChild } from '../train-child.js';
import type { Trainers } from '../trainers.js';
import type { InTurn } from '../turns.js';
import { measureOrder } from './analyze-in-process.js';
import type { Measurement } from './analyze-in-process.js';
import type { Answers } from './calls.js';
import type { AskedTraining, PassNeeds } from './pass-calls.js';
import { startPassProcess } from './start-pass-process.js';
import type { PassProcess, PassProcessOptions } from './start-pass-process.js';

export interface PassProcessDeps extends PassProcessOptions {
  readonly artifactsDir: string;
  /** A model of more is stored as two files. */
  readonly mostFileBytes: number;
  readonly store: Pick<Store, 'jobs'>;
  readonly trainers: Trainers;
  /** Latencies are measured by one job at a time. */
  readonly inTurn: InTurn;
}

/** Makes the candidates of a job. */
export interface Maker extends AsyncDisposable {
  /** `nameOf` says what the trainings of a pass are named after: one that has a name of another is not trained again. */
  make(passes: readonly optimizer.Pass[], nameOf: NameOf, tell: Tell): Promise<Candidate>;
  /** Gives forms to the layers of the job's version, and measures. */
  measure(what: Omit<Measurement, 'parent' | 'dataset'>): Promise<Measured>;
}

export type NameOf = (pass: number) => string;

/** What is made now. */
interface Making {
  readonly nameOf: NameOf;
  readonly passes: number;
  readonly tell: Tell;
}

/** Makes candidates in a process of the job's own, which ends when the claim does; where it broke, the next has a new one. */
export function createMaker(deps: PassProcessDeps, claim: JobClaim, pinned: PinnedPlan): Maker {
  const { job, signal } = claim;
  const turn = createTurn(deps.inTurn);
  const childJobs = new Set(job.childJobs);
  const trainings = new Set<Promise<unknown>>();
  const { artifactsDir, mostFileBytes } = deps;
  const order = { artifactsDir, mostFileBytes, ...encoded(claim, pinned) };
  let process: PassProcess | undefined;
  let making: Making;

  async function train({ pass, training, stage, spec }: AskedTraining): Promise<Uint8Array> {
    const { nameOf, passes, tell } = making;
    const jobId = childJobId(nameOf(pass), pass, training);
    await claim.update({ childJobs: [...childJobs.add(jobId)] });
    const succeeded = await trainChild(
      { jobs: deps.store.jobs, trainers: deps.trainers },
      {
        jobId,
        spec: trainer.TrainingSpec.decode(spec),
        signal,
        isCancelled: async () => (await deps.store.jobs.get(job.id)).cancelRequested,
        onProgress: (word, done) => tell(word === 'training' ? stage : word, passDone(pass, done, passes)),
      },
    );
    return jobs.JobSucceeded.encode(succeeded).finish();
  }

  const needs: Answers<PassNeeds> = {
    train(asked) {
      const training = train(asked);
      trainings.add(training);
      return training;
    },
    progress: ({ stage, done }) => making.tell(stage, done),
    turn: () => turn.begin(),
    turnOver: () => turn.end(),
  };

  async function running(): Promise<PassProcess> {
    if (process?.hasEnded !== false) {
      turn.end();
      process = await startPassProcess(deps, signal, needs);
    }
    return process;
  }

  return {
    async make(passes, nameOf, tell) {
      making = { nameOf, passes: passes.length, tell };
      const passing = await running();
      const messages = passes.map((pass) => optimizer.Pass.encode(pass).finish());
      const { signature, ...candidate } = await passing.call('make', { ...order, passes: messages });
      return { ...candidate, signature: registry.Signature.decode(signature) };
    },
    measure: (what) =>
      deps.inTurn(async () => {
        const { parent, dataset } = pinned;
        return (await running()).call('measure', measureOrder(deps.artifactsDir, { parent, dataset, ...what }));
      }),
    async [Symbol.asyncDispose]() {
      turn.leave();
      await process?.[Symbol.asyncDispose]();
      // a cancelled job has cancelled its trainings before it is told to have ended
      await Promise.allSettled(trainings);
    },
  };
}

/** With the versions that the job's labels meant. */
function encoded({ job }: JobClaim, { plan, parent, dataset }: PinnedPlan) {
  const spec = optimizer.OptimizationSpec.decode(job.spec);
  const data = spec.data && { ...spec.data, version: plan.data.version };
  return {
    spec: optimizer.OptimizationSpec.encode({ ...spec, version: plan.version, data }).finish(),
    parent: registry.Version.encode(parent).finish(),
    dataset: datasets.DatasetVersion.encode(dataset).finish(),
  };
}

/** One process's place in the line of those that measure. */
function createTurn(inTurn: InTurn) {
  let isGone = false;
  let end = () => {};
  return {
    begin: () =>
      new Promise<void>((resolve) => {
        void inTurn(async () => {
          if (isGone) return;
          resolve();
          await new Promise<void>((over) => (end = over));
        });
      }),
    end: () => end(),
    leave() {
      isGone = true;
      end();
    },
  };
}
