import type { DatasetFormat, Splits, TextFormat } from '@modelmill/data';
import type { LossTerm } from '@modelmill/autodiff';
import type { TrainingPlan } from './training-plan.js';

/** What the names of a plan stood for when its training began. */
export interface TrainingInputs {
  readonly datasetVersion: string;
  readonly baseSha256?: string;
  /** Empty where the base is an artifact. */
  readonly baseVersion?: string;
  readonly teacherSha256?: string;
}

/** What the trainer hands its child process: everything looked up, every file by a verified path. Plain JSON. */
export interface TrainingOrder {
  readonly plan: TrainingPlan;
  readonly inputs: TrainingInputs;
  readonly dataset: {
    readonly path: string;
    readonly format: DatasetFormat | TextFormat;
    readonly splits: Omit<Splits, 'seed'> & { readonly seed: string };
  };
  readonly loss: readonly LossTerm[];
  /** The ONNX file to go on from; unset where layers are given. */
  readonly basePath: string | undefined;
  readonly teacherPath: string | undefined;
  readonly checkpointPath: string | undefined;
  /** Where the child writes what it makes; the trainer removes it. */
  readonly folder: string;
  /** 0: one per core. */
  readonly threads: number;
  readonly checkpointMs: number;
  /** Many steps are one run, through which the state stays where it is computed. */
  readonly scanned: boolean;
}

/** trainer.TrainingProgress with its 64-bit counters as numbers. */
export interface ProgressReport {
  readonly epoch: number;
  readonly epochs: number;
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly examplesPerSecond: number;
  readonly secondsLeft: number;
  readonly learningRate: number;
  readonly gradientNorm: number;
  readonly residentBytes: number;
}

export type FromTraining =
  | { readonly kind: 'progress'; readonly progress: ProgressReport }
  | { readonly kind: 'checkpoint'; readonly path: string; readonly step: number }
  | {
      readonly kind: 'done';
      readonly path: string;
      readonly metrics: Readonly<Record<string, number>>;
      /** NDJSON: a line per report and evaluation. */
      readonly historyPath: string;
      /** What was decided on the way, in sentences. */
      readonly notes: readonly string[];
    }
  /** The training cannot succeed, now or on another try. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** Something unforeseen: another try may succeed. */
  | { readonly kind: 'stumbled'; readonly reason: string };
