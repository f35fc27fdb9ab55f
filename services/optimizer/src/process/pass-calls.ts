import type { ModelRef } from '@modelmill/store';
import type { Form } from '../analysis/forms.js';
import type { Measured } from '../analysis/measure-forms.js';
import type { Figures, Report } from '../report.js';

/** Passes over a version, everything looked up; messages as they are encoded. */
export interface PassOrder {
  readonly artifactsDir: string;
  /** A model of more is stored as two files. */
  readonly mostFileBytes: number;
  /** OptimizationSpec whose versions are numbers. */
  readonly spec: Uint8Array;
  /** registry.Version. */
  readonly parent: Uint8Array;
  /** DatasetVersion. */
  readonly dataset: Uint8Array;
  /** Pass, made one after the other. */
  readonly passes: readonly Uint8Array[];
}

/** What passes made, measured beside what they were made from. */
export interface MadeCandidate {
  readonly artifact: ModelRef;
  /** registry.Signature. */
  readonly signature: Uint8Array;
  readonly figures: { readonly parent: Figures; readonly candidate: Figures };
  readonly report: Omit<Report, 'job' | 'search'>;
}

/** A training that a pass wants. */
export interface AskedTraining {
  /** Which pass of the list, and which of its trainings, from 0. */
  readonly pass: number;
  readonly training: number;
  readonly stage: string;
  /** TrainingSpec. */
  readonly spec: Uint8Array;
}

/** A version whose layers are to be given forms and measured; messages as they are encoded. */
export interface MeasureOrder {
  readonly artifactsDir: string;
  /** registry.Version. */
  readonly parent: Uint8Array;
  /** DatasetVersion. */
  readonly dataset: Uint8Array;
  /** How many examples of the training part. */
  readonly rows: number;
  readonly budgetMs: number;
  readonly modelForms: readonly Form[];
  readonly layerForms: readonly Form[];
}

/** What the optimizer asks of a pass process. */
export type PassWork = {
  /** Orders of one process are of one job. */
  make(order: PassOrder): MadeCandidate;
  /** An AnalyzeModelResponse of an artifact. */
  analyze(model: { readonly artifactsDir: string; readonly sha256: string }): Uint8Array;
  measure(order: MeasureOrder): Measured;
};

/** What a pass process asks of the optimizer. */
export type PassNeeds = {
  /** A JobSucceeded. */
  train(training: AskedTraining): Uint8Array;
  /** What is going on, and how much of a `make` is done, from 0 to 1. */
  progress(told: { readonly stage: string; readonly done: number }): void;
  /** Latencies are measured by one process at a time: answered when the turn has come. */
  turn(nothing: null): void;
  turnOver(nothing: null): void;
};
