import { trainer } from '@modelmill/contracts';
import type { CallOptions, Channel } from './channel.js';
import { hasEnded, newJobId } from './job.js';
import type { SubmitOptions } from './job.js';
import { present } from './present.js';
import { reconnecting } from './reconnect.js';

const { TrainerService: methods } = trainer;

/** Training jobs. */
export function createTrainerClient(channel: Channel) {
  return {
    /** Checks a spec without queueing it, and tells what would be trained. */
    validate(spec: trainer.TrainingSpec, options?: CallOptions): Promise<trainer.ValidateTrainingResponse> {
      return channel.unary(methods.validateTraining, { spec }, { ...options, safe: true });
    },
    /** Checks a spec and queues it. */
    async submit(
      spec: trainer.TrainingSpec,
      { jobId = newJobId() }: SubmitOptions = {},
      options?: CallOptions,
    ): Promise<trainer.TrainingJob> {
      return present(
        (await channel.unary(methods.submitTraining, { spec, jobId }, { ...options, safe: true })).job,
        'job',
      );
    },
    async get(jobId: string, options?: CallOptions): Promise<trainer.TrainingJob> {
      return present((await channel.unary(methods.getTraining, { jobId }, { ...options, safe: true })).job, 'job');
    },
    /** Newest first. */
    async list(options?: CallOptions): Promise<trainer.TrainingJob[]> {
      return (await channel.unary(methods.listTraining, {}, { ...options, safe: true })).jobs;
    },
    async cancel(jobId: string, options?: CallOptions): Promise<trainer.TrainingJob> {
      return present((await channel.unary(methods.cancelTraining, { jobId }, { ...options, safe: true })).job, 'job');
    },
    /** How its figures went; of a job that still runs what its last checkpoint knows. */
    async history(jobId: string, options?: CallOptions): Promise<trainer.TrainingHistoryLine[]> {
      return (await channel.unary(methods.getTrainingHistory, { jobId }, { ...options, safe: true })).lines;
    },
    /** The job now and at every change, until it has ended; survives broken connections. */
    async *watch(jobId: string, options?: CallOptions): AsyncGenerator<trainer.TrainingJob, void, undefined> {
      const open = () => channel.serverStream(methods.watchTraining, { jobId }, options);
      for await (const { job } of reconnecting(open, (last) => hasEnded(last?.job?.status), options?.signal)) {
        yield present(job, 'job');
      }
    },
  };
}

export type TrainerClient = ReturnType<typeof createTrainerClient>;
