import { status } from '@grpc/grpc-js';
import { trainer as contract } from '@modelmill/contracts';
import type { trainer } from '@modelmill/contracts';
import { serverStream, translate, unary } from '@modelmill/service-kit';
import type { Telemetry } from '@modelmill/service-kit';
import {
  AlreadyExistsError,
  DigestMismatchError,
  InvalidNameError,
  NotFoundError,
  StoreFullError,
  StoreUnavailableError,
  hasEnded,
} from '@modelmill/store';
import type { JobRecord, Store } from '@modelmill/store';
import { checkTraining } from './check-training.js';
import * as errors from './errors.js';
import { historyOf } from './history.js';
import type { ProviderCheck } from './provider-check.js';
import { planTraining } from './training-plan.js';

export interface TrainerDeps {
  readonly store: Pick<Store, 'registry' | 'datasets' | 'jobs' | 'artifacts'>;
  readonly providers: ProviderCheck;
  /** Ends watches, so that a shutdown need not wait for the jobs they follow. */
  readonly closing: AbortSignal;
}

const translated = translate([
  [NotFoundError, status.NOT_FOUND],
  [AlreadyExistsError, status.ALREADY_EXISTS],
  [InvalidNameError, status.INVALID_ARGUMENT],
  [StoreFullError, status.RESOURCE_EXHAUSTED],
  [StoreUnavailableError, status.UNAVAILABLE],
  [DigestMismatchError, status.DATA_LOSS],
]);

export function trainerHandlers(
  { store, providers, closing }: TrainerDeps,
  telemetry: Telemetry,
): trainer.TrainerServer {
  const { jobs } = store;
  const options = { ...telemetry, translate: translated };

  async function validate({ spec }: trainer.ValidateTrainingRequest): Promise<trainer.ValidateTrainingResponse> {
    const plan = planTraining(spec);
    await providers.check(plan.provider);
    const { summary } = await checkTraining(store, plan);
    return summary;
  }

  async function submit({ spec, jobId }: trainer.SubmitTrainingRequest) {
    const plan = planTraining(spec);
    const wanted = contract.TrainingSpec.encode(spec!).finish();
    // asked for again, a job is the first one, even where what it needs is gone by now
    if (!(await isKnown(jobId))) {
      await providers.check(plan.provider);
      await checkTraining(store, plan);
    }
    const job = await jobs.submit('train', wanted, jobId || undefined);
    if (!Buffer.from(job.spec).equals(wanted)) throw errors.jobIsOtherwise(jobId);
    return { job: asMessage(job) };
  }

  async function isKnown(jobId: string): Promise<boolean> {
    if (jobId === '') return false;
    return jobs.get(jobId).then(
      () => true,
      (error: unknown) => {
        if (error instanceof NotFoundError) return false;
        throw error;
      },
    );
  }

  async function find(jobId: string): Promise<JobRecord> {
    const job = await jobs.get(jobId).catch((error: unknown) => {
      throw error instanceof NotFoundError ? errors.jobNotFound(jobId) : error;
    });
    if (job.kind !== 'train') throw errors.jobNotFound(jobId);
    return job;
  }

  async function cancel({ jobId }: trainer.CancelTrainingRequest) {
    await find(jobId);
    return { job: asMessage(await jobs.cancel(jobId)) };
  }

  async function* watch({ jobId }: trainer.WatchTrainingRequest, signal: AbortSignal) {
    await find(jobId);
    for await (const job of jobs.watch(jobId, AbortSignal.any([signal, closing]))) {
      yield { job: asMessage(job) };
      if (hasEnded(job)) return;
    }
    if (closing.aborted) throw errors.shuttingDown(jobId);
  }

  return {
    validateTraining: unary(validate, options),
    submitTraining: unary(submit, options),
    getTraining: unary(
      async ({ jobId }: trainer.GetTrainingRequest) => ({ job: asMessage(await find(jobId)) }),
      options,
    ),
    listTraining: unary(
      async (_: trainer.ListTrainingRequest) => ({ jobs: (await jobs.list('train')).map(asMessage) }),
      options,
    ),
    cancelTraining: unary(cancel, options),
    watchTraining: serverStream(watch, options),
    getTrainingHistory: unary(
      async ({ jobId }: trainer.GetTrainingHistoryRequest) => ({
        lines: await historyOf(await find(jobId), store.artifacts),
      }),
      options,
    ),
  };
}

const asMessage = ({ status: jobStatus, spec, progress }: JobRecord): trainer.TrainingJob => ({
  status: jobStatus,
  spec: contract.TrainingSpec.decode(spec),
  progress: progress && contract.TrainingProgress.decode(progress),
});
