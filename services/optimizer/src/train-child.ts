import { status } from '@grpc/grpc-js';
import { MillError } from '@modelmill/client';
import type { jobs, trainer } from '@modelmill/contracts';
import { aborted } from '@modelmill/service-kit';
import { JobFailedError, NotFoundError, StoreUnavailableError } from '@modelmill/store';
import type { JobRecord, Jobs } from '@modelmill/store';
import type { Trainers } from './trainers.js';

export interface ChildTraining {
  /** The same at every try of the parent, so that there is one training however often the parent dies. */
  readonly jobId: string;
  readonly spec: trainer.TrainingSpec;
  /** Of the parent: `cancelled` cancels the training, any other reason leaves it to who takes the parent over. */
  readonly signal: AbortSignal;
  /** Whether the parent is to be cancelled: its signal tells a little later. */
  isCancelled(): Promise<boolean>;
  /** What is going on, and how much of it is done, from 0 to 1. */
  onProgress(stage: string, done: number): Promise<void>;
}

/** What the trainer says of a spec that it will never take. */
const refusals = new Set([
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.ALREADY_EXISTS,
  status.FAILED_PRECONDITION,
  status.OUT_OF_RANGE,
  status.UNIMPLEMENTED,
]);

/** Has a trainer train, and waits however long it takes. Throws JobFailedError where it ended otherwise than well. */
export async function trainChild(
  deps: { readonly jobs: Pick<Jobs, 'watch' | 'cancel'>; readonly trainers: Trainers },
  child: ChildTraining,
): Promise<jobs.JobSucceeded> {
  try {
    await submit(deps.trainers, child);
    return await follow(deps.jobs, child);
  } catch (error) {
    if (child.signal.reason === 'cancelled') await cancelTraining(deps.jobs, child.jobId);
    throw error;
  }
}

/** A training that was never submitted needs no cancelling. */
export async function cancelTraining(known: Pick<Jobs, 'cancel'>, jobId: string): Promise<void> {
  await known.cancel(jobId).catch((error: unknown) => {
    if (!(error instanceof NotFoundError)) throw error;
  });
}

async function submit(trainers: Trainers, { jobId, spec, signal, onProgress }: ChildTraining): Promise<void> {
  try {
    await trainers.askUntilAnswered(
      (client) => client.submit(spec, { jobId }, { signal }),
      signal,
      () => onProgress('waiting for a trainer', 0),
    );
  } catch (error) {
    if (!(error instanceof MillError && refusals.has(error.code))) throw error;
    throw new JobFailedError(`the trainer refused its training: ${error.message}`, { cause: error });
  }
}

/** From the store: it goes on where the trainer, or NATS, was away for a while. */
async function follow(known: Pick<Jobs, 'watch'>, child: ChildTraining): Promise<jobs.JobSucceeded> {
  for (;;) {
    try {
      for await (const job of known.watch(child.jobId, child.signal)) {
        const succeeded = await stateOf(job, child);
        if (succeeded) return succeeded;
      }
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
    }
    child.signal.throwIfAborted();
  }
}

async function stateOf({ status: { state } }: JobRecord, child: ChildTraining): Promise<jobs.JobSucceeded | undefined> {
  switch (state?.$case) {
    case 'succeeded':
      return state.succeeded;
    case 'failed':
      throw new JobFailedError(`its training '${child.jobId}' failed: ${state.failed.reason}`);
    case 'cancelled':
      if (await child.isCancelled()) await aborted(child.signal);
      child.signal.throwIfAborted();
      throw new JobFailedError(`its training '${child.jobId}' was cancelled`);
    case 'running':
      await child.onProgress(state.running.stage || 'training', state.running.done);
      return undefined;
    case 'queued':
    case undefined:
      await child.onProgress('waiting for a trainer', 0);
      return undefined;
  }
}
