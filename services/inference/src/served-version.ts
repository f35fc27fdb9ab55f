import type { inference } from '@modelmill/contracts';
import { RunnerError, zeroInputs } from '@modelmill/runtime';
import type { LoadedModel, RunResult, RunnerPool, TensorData, TensorSignature } from '@modelmill/runtime';
import { RpcError } from '@modelmill/service-kit';
import { status } from '@grpc/grpc-js';
import { measureCost, preferredBatch } from './batch-cost.js';
import type { CostCurve, ExecutionCost } from './batch-cost.js';
import { rowsAreIndependent } from './batch-probe.js';
import type { Tensors } from './batch.js';
import { createBatcher } from './batcher.js';
import type { Caller } from './batcher.js';
import { classified } from './classification.js';
import * as errors from './errors.js';
import { checkRequest } from './infer-request.js';
import type { Fitting } from './infer-request.js';
import { createStatistics } from './statistics.js';
import type { FailureReason, VersionStatistics } from './statistics.js';

export interface VersionLimits {
  readonly maxBatch: number;
  readonly maxQueue: number;
  readonly maxQueueBytes: number;
  readonly maxWaitMs: number;
  readonly runners: number;
}

/** What is found out about a version when it is loaded for the first time. */
export interface Measured {
  readonly batched: boolean;
  readonly cost: ExecutionCost;
}

/** A version that is loaded, warmed and answering. */
export interface LoadedVersion extends Fitting {
  readonly version: string;
  readonly loaded: LoadedModel;
  readonly measured: Measured;
  /** 0: not batched. */
  readonly maxBatch: number;
  /** Rows that requests are put together to; 0: not batched. */
  readonly preferredBatch: number;
  readonly statistics: VersionStatistics;
  /** What ONNX Runtime takes for an execution by its rows; empty where it could not be measured. */
  readonly computeCost: CostCurve;
  /** Requests that wait. */
  waiting(): number;
  /** Requests that wait for a runner and executions under way, without those in the background. */
  demand(): number;
  infer(request: inference.ModelInferRequest, caller?: Caller): Promise<inference.ModelInferResponse>;
  /** Answers what it has taken, then gives the memory back. */
  unload(): Promise<void>;
}

/** A version that this replica answers for. What is not in memory is loaded by its next request. */
export interface ServedVersion extends Omit<LoadedVersion, 'measured'> {
  /** What it takes of the budget now; 0 where it is not in memory. */
  readonly memoryBytes: number;
  /** Loads it where it is not in memory. */
  bringIn(): Promise<void>;
  /** Begins to load it where it is not in memory and nothing has to leave for it. */
  bringInBeside(): void;
}

/**
 * Loads a version on every runner and runs it once on each. Throws RunnerError. `onLost` is called when the runners
 * turn out to have given it up.
 */
export async function loadVersion(
  pool: RunnerPool,
  { model, version, path }: { readonly model: string; readonly version: string; readonly path: string },
  limits: VersionLimits,
  onLost: (reason: string) => void,
  {
    statistics,
    measured: before,
  }: { readonly statistics: VersionStatistics; readonly measured?: Measured | undefined } = {
    statistics: createStatistics(),
  },
): Promise<LoadedVersion> {
  const id = `${model}/${version}`;
  const loaded = await pool.load(id, path);
  const run = (inputs: Tensors) => pool.run(id, inputs);
  let measured: Measured;
  try {
    await warm(loaded, run, limits.runners);
    measured = before ?? (await measure(loaded, run, limits.maxBatch));
  } catch (error) {
    await pool.unload(id);
    throw error;
  }
  const { batched, cost } = measured;
  const preferred = preferredBatch(cost.whole, limits.maxBatch);
  const sideBySide = loaded.provider === 'cpu' ? limits.runners : 1; // runners share one GPU
  const batcher = createBatcher({
    model,
    batched,
    ...limits,
    maxBatch: preferred,
    lanes: 2 * limits.runners, // each has one ahead while its last one is taken apart
    sideBySide,
    cost,
    statistics,
    execute: (inputs, outputs, expectedMs) => pool.run(id, inputs, outputs, { expectedMs }),
    occupancy: pool.occupancy,
  });
  const outputNames = loaded.outputs.map(({ name }) => name);
  const served: LoadedVersion = {
    model,
    version,
    loaded,
    measured,
    batched,
    maxBatch: batched ? limits.maxBatch : 0,
    preferredBatch: batched ? preferred : 0,
    inputs: byName(loaded.inputs),
    outputs: byName(loaded.outputs),
    statistics,
    computeCost: cost.compute,
    waiting: batcher.waiting,
    demand: batcher.demand,
    async infer(request, caller) {
      const begun = performance.now();
      try {
        const wanted = checkRequest(served, request);
        const checked = caller?.background === true ? { ...wanted, priority: Infinity } : wanted;
        const outputs = await batcher.infer(checked, caller);
        caller?.watch?.ran(false);
        statistics.answered(performance.now() - begun);
        for (const [name, most] of checked.classes) {
          outputs.set(name, classified(name, outputs.get(name)!, most, served.batched));
        }
        return response(model, version, request.id, checked.outputs ?? outputNames, outputs);
      } catch (error) {
        if (error instanceof RunnerError) {
          if (error.kind === 'refused') onLost(error.message);
          if (error.kind !== 'cancelled') caller?.watch?.ran(true);
        }
        const told = toRpcError(model, version, error);
        statistics.failed(failureReason(told), performance.now() - begun);
        throw told;
      }
    },
    async unload() {
      await batcher.drain();
      await pool.unload(id);
    },
  };
  return served;
}

/** A model whose sizes are open beyond the batch may refuse the sizes tried here: that says nothing against it. */
async function warm({ inputs }: LoadedModel, run: (inputs: Tensors) => Promise<unknown>, runners: number) {
  const sizesAreOpen = inputs.some(({ shape }) => shape.slice(1).includes(-1));
  try {
    await Promise.all(Array.from({ length: runners }, () => run(zeroInputs(inputs))));
  } catch (error) {
    if (!(error instanceof RunnerError && error.kind === 'model' && sizesAreOpen)) throw error;
  }
}

async function measure(
  loaded: LoadedModel,
  run: (inputs: Tensors) => Promise<RunResult>,
  maxBatch: number,
): Promise<Measured> {
  const batched = hasBatchDimension(loaded) && (await rowsAreIndependent(loaded.inputs, run));
  return { batched, cost: await measureCost(loaded.inputs, batched ? maxBatch : 1, run) };
}

export const hasBatchDimension = ({ inputs, outputs }: Pick<LoadedModel, 'inputs' | 'outputs'>) =>
  inputs.length > 0 && [...inputs, ...outputs].every(({ shape }) => shape[0] === -1);

export const byName = (signatures: readonly TensorSignature[]): ReadonlyMap<string, TensorSignature> =>
  new Map(signatures.map((signature) => [signature.name, signature]));

function response(
  modelName: string,
  modelVersion: string,
  id: string,
  names: readonly string[],
  results: ReadonlyMap<string, TensorData>,
): inference.ModelInferResponse {
  const outputs: inference.ModelInferResponse_InferOutputTensor[] = [];
  const rawOutputContents: Buffer[] = [];
  for (const name of names) {
    const { datatype, shape, data } = results.get(name)!;
    outputs.push({ name, datatype, shape: shape.map(BigInt), parameters: {}, contents: undefined });
    rawOutputContents.push(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  }
  return { modelName, modelVersion, id, parameters: {}, outputs, rawOutputContents };
}

function toRpcError(model: string, version: string, error: unknown): unknown {
  if (!(error instanceof RunnerError)) return error;
  switch (error.kind) {
    case 'timeout':
      return errors.executionTooLong(model, version, error);
    case 'memory':
      return errors.executionTooBig(model, version, error);
    case 'refused':
      return errors.versionNotReady(model, version);
    case 'crashed':
      return errors.executionCrashed(model, version, error);
    case 'model':
      return errors.executionFailed(model, version, error);
    case 'cancelled':
      return errors.callerGone();
  }
}

export function failureReason(error: unknown): FailureReason {
  if (!(error instanceof RpcError)) return 'OTHER';
  switch (error.code) {
    case status.RESOURCE_EXHAUSTED:
    case status.UNAVAILABLE:
      return 'REJECTED';
    case status.CANCELLED:
    case status.DEADLINE_EXCEEDED:
      return 'CANCELED';
    case status.INTERNAL:
      return 'BACKEND';
    default:
      return 'OTHER';
  }
}
