import { optimizer } from '@modelmill/contracts';
import type { CallOptions, Channel } from './channel.js';
import { hasEnded, newJobId } from './job.js';
import type { SubmitOptions } from './job.js';
import { present } from './present.js';
import { reconnecting } from './reconnect.js';

const { OptimizerService: methods } = optimizer;

/** What an analysis measures on. */
export interface AnalyzeOptions {
  /** Without one, layers are only weighed. */
  readonly dataset?: string;
  /** Default: its newest. */
  readonly datasetVersion?: string;
  /** Training rows; default 256. */
  readonly rows?: number;
  /** Default 15. */
  readonly timeBudgetSeconds?: number;
}

/** Beside the time budget: waiting for others that measure, calibrating, and what has begun. */
const measuringMs = 300_000;

/** Optimization jobs. */
export function createOptimizerClient(channel: Channel) {
  return {
    /** What each layer weighs and, with a dataset, what it takes and how much it minds compression; and advice. */
    analyze(
      model: string,
      version: string,
      { dataset = '', datasetVersion = '', rows = 0, timeBudgetSeconds = 0 }: AnalyzeOptions = {},
      options?: CallOptions,
    ): Promise<optimizer.AnalyzeModelResponse> {
      const request = { model, version, dataset, datasetVersion, rows, timeBudgetSeconds };
      const deadlineMs = dataset === '' ? undefined : 1000 * timeBudgetSeconds + measuringMs;
      return channel.unary(methods.analyzeModel, request, { deadlineMs, ...options, safe: true });
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
