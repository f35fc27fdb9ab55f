import type { Provider } from './providers.js';

export interface RunnerOptions {
  /** Tried in order. Default: CUDA where it is installed, else the CPU. */
  readonly providers?: readonly Provider[];
  /** Threads within one operator. Default 1. */
  readonly threads?: number;
  /** A request that executes longer has its runner killed. Default 30 s. */
  readonly requestTimeoutMs?: number;
  /** A runner that holds more is killed. Default 4 GiB. */
  readonly memoryLimitBytes?: number;
  /** All the process inherits: what device libraries are found by, such as LD_LIBRARY_PATH. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface LoadOptions {
  /** Where ONNX Runtime writes the graph it made of the model. */
  readonly optimizedModelPath?: string;
  /** How much ONNX Runtime changes the graph first. Default all. */
  readonly graphOptimization?: 'disabled' | 'all';
  /** What each node takes is written to a file that begins so, when the model is unloaded. */
  readonly profilePrefix?: string;
}
