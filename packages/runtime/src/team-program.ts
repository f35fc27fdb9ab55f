import type { Model } from '@modelmill/onnx';
import type { SessionOptions } from './session.js';

/** A tensor in the memory that a team shares: `at` in bytes, a multiple of its element's. */
export interface SharedTensor {
  readonly dims: readonly number[];
  readonly type: 'float32' | 'int64';
  readonly at: number;
}

/** What one thread of a team does. */
export type TeamTask =
  /** Runs one of its models; inputs are read, and outputs written, where they lie. */
  | {
      readonly kind: 'run';
      readonly model: number;
      readonly inputs: Readonly<Record<string, SharedTensor>>;
      readonly outputs: Readonly<Record<string, SharedTensor>>;
    }
  /** Adds rows [count, …] to a table where their positions [count, 1] are from `from` and below `to`; or makes these rows zero. */
  | {
      readonly kind: 'add rows' | 'clear rows';
      readonly positions: readonly SharedTensor[];
      readonly rows: readonly SharedTensor[];
      readonly table: SharedTensor;
      readonly from: number;
      readonly to: number;
    }
  /** Calls a function of the team's kernel. */
  | { readonly kind: 'call'; readonly function: string; readonly arguments: readonly number[] }
  /** Waits until every thread has come to its task of this kind. */
  | { readonly kind: 'meet' };

export interface TeamModel {
  readonly model: Model;
  /** Threads within one operator. */
  readonly threads: number;
}

/** Models of a thread, and what it does in each program of the team, by the programs' numbers. */
export interface TeamMember {
  readonly models: readonly TeamModel[];
  readonly programs: readonly (readonly TeamTask[])[];
}

/** A WebAssembly module that imports `env.memory`, which is the team's: places are the same in both. */
export interface TeamKernel {
  readonly module: object;
  readonly memory: { readonly buffer: SharedArrayBuffer };
}

export type TeamOptions = Pick<
  SessionOptions,
  'keepMemory' | 'memoryPattern' | 'flushDenormals' | 'spinMicroseconds' | 'graphOptimization'
>;

/** What a thread of a team is started with. */
export interface TeamThread {
  readonly models: readonly { readonly bytes: Uint8Array; readonly threads: number }[];
  readonly programs: TeamMember['programs'];
  readonly size: number;
  readonly memory: SharedArrayBuffer;
  readonly kernel: TeamKernel | undefined;
  readonly control: SharedArrayBuffer;
  readonly options: TeamOptions;
}

/** Places in `control`, which is of Int32. */
export const control = {
  /** Counts what was asked for. */
  turn: 0,
  /** Of this turn: a bit per program. */
  programs: 1,
  /** Counts threads that came to a meeting. */
  met: 2,
  /** Counts threads that ended a turn. */
  done: 3,
  /** Not 0: a thread failed. */
  failed: 4,
  count: 5,
} as const;

/** In place of programs: the threads end. */
export const theEnd = -1;

/** From a thread: its models are loaded, or why something failed. */
export type FromTeamThread = { readonly kind: 'ready' } | { readonly kind: 'failed'; readonly message: string };
