import { status } from '@grpc/grpc-js';
import { MillError } from '@modelmill/client';
import { optimizer as contract } from '@modelmill/contracts';
import type { optimizer } from '@modelmill/contracts';
import { OnnxFormatError } from '@modelmill/onnx';
import { serverStream, translate, unary } from '@modelmill/service-kit';
import type { Telemetry } from '@modelmill/service-kit';
import {
  AlreadyExistsError,
  DigestMismatchError,
  InvalidNameError,
  JobFailedError,
  NotFoundError,
  StoreFullError,
  StoreUnavailableError,
  hasEnded,
} from '@modelmill/store';
import type { JobRecord, Store } from '@modelmill/store';
import { analyzeVersion } from './analysis/analyze-version.js';
import { checkOptimization } from './check-optimization.js';
import * as errors from './errors.js';
import { planOptimization } from './optimization-plan.js';
import type { OptimizationPlan } from './optimization-plan.js';
import { childJobId } from './make-passes.js';
import { mostCandidates } from './search/search-space.js';
import { pinned } from './pinned-plan.js';
import type { Analyses } from './process/analyze-in-process.js';
import { cancelTraining } from './train-child.js';
import { NoTrainerError } from './trainers.js';
import type { Trainers } from './trainers.js';

export interface OptimizerDeps {
  readonly store: Pick<Store, 'registry' | 'datasets' | 'jobs' | 'artifacts'>;
  readonly trainers: Trainers;
  readonly analyses: Analyses;
  /** Ends watches, so that a shutdown need not wait for the jobs they follow. */
  readonly closing: AbortSignal;
}

const translated = translate([
  [NotFoundError, status.NOT_FOUND],
  [AlreadyExistsError, status.ALREADY_EXISTS],
  [InvalidNameError, status.INVALID_ARGUMENT],
  [OnnxFormatError, status.FAILED_PRECONDITION],
  [JobFailedError, status.FAILED_PRECONDITION],
  [StoreFullError, status.RESOURCE_EXHAUSTED],
  [StoreUnavailableError, status.UNAVAILABLE],
  [DigestMismatchError, status.DATA_LOSS],
]);

const longestJobId = 64;
const validationMs = 5_000;

export function optimizerHandlers(deps: OptimizerDeps, telemetry: Telemetry): optimizer.OptimizerServer {
  const { store, trainers, analyses, closing } = deps;
  const { jobs } = store;
  const options = { ...telemetry, translate: translated };

  async function submit({ spec, jobId }: optimizer.SubmitOptimizationRequest, signal: AbortSignal) {
    const plan = planOptimization(spec);
    const longest = plan.goal ? childJobId(`-c${mostCandidates}`, 9, 99) : childJobId('', plan.passes.length - 1, 99);
    const most = longestJobId - longest.length;
    if (jobId.length > most) throw errors.jobIdTooLong(jobId, most);
    const wanted = contract.OptimizationSpec.encode(spec!).finish();
    if (!(await isKnown(jobId))) {
      await checkTrainings(pinned(plan, await checkOptimization(store, plan)).plan, signal);
    }
    const job = await jobs.submit('optimize', wanted, jobId || undefined);
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

  /** Only the trainer knows whether layers fit. Where none is there, the job waits for one and is told then. */
  async function checkTrainings(plan: OptimizationPlan, signal: AbortSignal): Promise<void> {
    for (const [i, pass] of plan.passes.entries()) {
      const training = pass.training(plan);
      if (!training) continue;
      try {
        await trainers.ask((trainer) => trainer.validate(training.spec, { deadlineMs: validationMs, signal }));
      } catch (error) {
        if (error instanceof MillError) {
          throw errors.trainingRefused(`passes[${i}].${pass.kind}.${training.field}`, error.code, error.message);
        }
        if (!(error instanceof NoTrainerError)) throw error;
      }
    }
  }

  async function find(jobId: string): Promise<JobRecord> {
    const job = await jobs.get(jobId).catch((error: unknown) => {
      throw error instanceof NotFoundError ? errors.jobNotFound(jobId) : error;
    });
    if (job.kind !== 'optimize') throw errors.jobNotFound(jobId);
    return job;
  }

  async function cancel({ jobId }: optimizer.CancelOptimizationRequest) {
    await find(jobId);
    const job = await jobs.cancel(jobId);
    // the worker does so, too, where it lives
    if (isCancelled(job)) for (const child of job.childJobs) await cancelTraining(jobs, child);
    return { job: asMessage(job) };
  }

  async function* watch({ jobId }: optimizer.WatchOptimizationRequest, signal: AbortSignal) {
    await find(jobId);
    for await (const job of jobs.watch(jobId, AbortSignal.any([signal, closing]))) yield { job: asMessage(job) };
  }

  return {
    analyzeModel: unary(
      (request: optimizer.AnalyzeModelRequest, signal) => analyzeVersion({ store, analyses }, request, signal),
      options,
    ),
    submitOptimization: unary(submit, options),
    getOptimization: unary(
      async ({ jobId }: optimizer.GetOptimizationRequest) => ({ job: asMessage(await find(jobId)) }),
      options,
    ),
    listOptimization: unary(
      async (_: optimizer.ListOptimizationRequest) => ({ jobs: (await jobs.list('optimize')).map(asMessage) }),
      options,
    ),
    cancelOptimization: unary(cancel, options),
    watchOptimization: serverStream(watch, options),
  };
}

const asMessage = ({ status: jobStatus, spec }: JobRecord): optimizer.OptimizationJob => ({
  status: jobStatus,
  spec: contract.OptimizationSpec.decode(spec),
});

const isCancelled = (job: JobRecord) => !hasEnded(job) || job.status.state?.$case === 'cancelled';
