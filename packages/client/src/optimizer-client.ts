import { optimizer } from '@modelmill/contracts';
import type { CallOptions, Channel } from './channel.js';
import { hasEnded, newJobId } from './job.js';
import type { SubmitOptions } from './job.js';
import { present } from './present.js';
import { reconnecting } from './reconnect.js';

const { OptimizerService: methods } = optimizer;

/** Optimization jobs. */
export function createOptimizerClient(channel: Channel) {
  return {
    /** What each layer weighs and what each pass could save. */
    analyze(model: string, version: string, options?: CallOptions): Promise<optimizer.AnalyzeModelResponse> {
      return channel.unary(methods.analyzeModel, { model, version }, { ...options, safe: true });
    },
    /** Checks a spec and queues it. */
    async submit(
      spec: optimizer.OptimizationSpec,
      { jobId = newJobId() }: SubmitOptions = {},
      options?: CallOptions,
    ): Promise<optimizer.OptimizationJob> {
      return present(
        (await channel.unary(methods.submitOptimization, { spec, jobId }, { ...options, safe: true })).job,
        'job',
      );
    },
    async get(jobId: string, options?: CallOptions): Promise<optimizer.OptimizationJob> {
      return present((await channel.unary(methods.getOptimization, { jobId }, { ...options, safe: true })).job, 'job');
    },
    /** Newest first. */
    async list(options?: CallOptions): Promise<optimizer.OptimizationJob[]> {
      return (await channel.unary(methods.listOptimization, {}, { ...options, safe: true })).jobs;
    },
    async cancel(jobId: string, options?: CallOptions): Promise<optimizer.OptimizationJob> {
      return present(
        (await channel.unary(methods.cancelOptimization, { jobId }, { ...options, safe: true })).job,
        'job',
      );
    },
    /** The job now and at every change, until it has ended; survives broken connections. */
    async *watch(jobId: string, options?: CallOptions): AsyncGenerator<optimizer.OptimizationJob, void, undefined> {
      const open = () => channel.serverStream(methods.watchOptimization, { jobId }, options);
      for await (const { job } of reconnecting(open, (last) => hasEnded(last?.job?.status), options?.signal)) {
        yield present(job, 'job');
      }
    },
  };
}

export type OptimizerClient = ReturnType<typeof createOptimizerClient>;
