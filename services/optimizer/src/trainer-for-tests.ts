import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { sendUnaryData, Metadata } from '@grpc/grpc-js';
import { trainer } from '@modelmill/contracts';
import type { JobClaim, JobResult, Store } from '@modelmill/store';

export interface TrainerForTests extends AsyncDisposable {
  /** Every spec that was submitted, as often as it was. */
  readonly submitted: { readonly jobId: string; readonly spec: trainer.TrainingSpec; readonly metadata: Metadata }[];
}

export interface TrainerBehaviour {
  train(claim: JobClaim, spec: trainer.TrainingSpec): Promise<JobResult>;
  /** Why a spec is refused; undefined: it is taken. */
  refusal?(spec: trainer.TrainingSpec): string | undefined;
}

/** The trainer's side of the wire and of the queue, without any training. */
export async function startTrainer(store: Store, behaviour: TrainerBehaviour): Promise<TrainerForTests> {
  const submitted: TrainerForTests['submitted'] = [];
  const server = new Server();
  const answer = <T>(callback: sendUnaryData<T>, spec: trainer.TrainingSpec, work: () => Promise<T>) => {
    const reason = behaviour.refusal?.(spec);
    if (reason !== undefined) return callback({ code: status.INVALID_ARGUMENT, details: reason });
    void work().then((value) => callback(null, value));
  };
  server.addService(trainer.TrainerService, {
    validateTraining: ({ request }: { request: trainer.ValidateTrainingRequest }, callback: sendUnaryData<object>) =>
      answer(callback, request.spec!, async () => ({ layers: [], parameters: 0n, signature: undefined })),
    submitTraining: (
      { request, metadata }: { request: trainer.SubmitTrainingRequest; metadata: Metadata },
      callback: sendUnaryData<trainer.SubmitTrainingResponse>,
    ) => {
      const { jobId, spec } = request;
      submitted.push({ jobId, spec: spec!, metadata });
      answer(callback, spec!, async () => {
        const job = await store.jobs.submit('train', trainer.TrainingSpec.encode(spec!).finish(), jobId);
        return { job: { status: job.status, spec, progress: undefined } };
      });
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const stop = new AbortController();
  const options = { concurrency: 1, ackWaitMs: 2_000, maxDeliver: 3, signal: stop.signal };
  const working = store.jobs.work('train', options, (claim) =>
    behaviour.train(claim, trainer.TrainingSpec.decode(claim.job.spec)),
  );
  const announced = await store.replicas.announce({ service: 'trainer', address: `127.0.0.1:${port}` });
  return {
    submitted,
    async [Symbol.asyncDispose]() {
      await announced[Symbol.asyncDispose]();
      server.forceShutdown();
      await working[Symbol.asyncDispose]();
    },
  };
}
