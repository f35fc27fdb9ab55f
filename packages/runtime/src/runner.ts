import type { Provider } from './providers.js';
import type { TensorData, TensorSignature } from './tensor.js';

export interface RunnerOptions {
  /** Tried in order. Default: CUDA where it is installed, else the CPU. */
  readonly providers?: readonly Provider[];
  /** Threads within one operator. Default 1. */
  readonly threads?: number;
  /** A request that executes longer has its runner killed. Default 30 s. */
  readonly requestTimeoutMs?: number;
  /** A runner that holds more has itself killed. Default 4 GiB. */
  readonly memoryLimitBytes?: number;
  /** Where the loader finds CUDA's libraries (LD_LIBRARY_PATH). */
  readonly libraryPath?: string;
}

/** What a model takes and gives, and how it was loaded. */
export interface LoadedModel {
  readonly inputs: readonly TensorSignature[];
  readonly outputs: readonly TensorSignature[];
  /** The execution provider that holds it. */
  readonly provider: string;
  readonly loadMs: number;
}

export interface RunResult {
  readonly outputs: Map<string, TensorData>;
  /** Nanoseconds inside ONNX Runtime. */
  readonly computeNs: bigint;
}

/** One input set for `measure`. */
export interface MeasuredCase {
  readonly id: string;
  readonly inputs: ReadonlyMap<string, TensorData>;
}

/** A child process that executes ONNX Runtime sessions, one request at a time. */
export interface Runner extends AsyncDisposable {
  readonly pid: number;
  /** Loads the ONNX file at a path under an id of the caller's. */
  load(id: string, path: string): Promise<LoadedModel>;
  unload(id: string): Promise<void>;
  /** Every output, or those named. Throws RunnerError. */
  run(
    id: string,
    inputs: ReadonlyMap<string, TensorData>,
    outputs?: readonly string[],
    signal?: AbortSignal,
  ): Promise<RunResult>;
  /** Milliseconds per case and round, measured inside the runner, the cases in alternation. */
  measure(
    cases: readonly MeasuredCase[],
    options: { readonly rounds: number; readonly warmup: number },
  ): Promise<number[][]>;
  /** Resolves when the process has ended, for whatever reason. */
  readonly exited: Promise<{ reason: string }>;
}
