import { datasets, optimizer, registry } from '@modelmill/contracts';
import type { Measured } from '../analysis/measure-forms.js';
import { createTurns } from '../turns.js';
import type { InTurn } from '../turns.js';
import type { Answers } from './calls.js';
import type { MeasureOrder, PassNeeds } from './pass-calls.js';
import { startPassProcess } from './start-pass-process.js';
import type { PassProcessOptions } from './start-pass-process.js';

/** What to measure of a version. */
export interface Measurement extends Omit<MeasureOrder, 'artifactsDir' | 'parent' | 'dataset'> {
  readonly parent: registry.Version;
  readonly dataset: datasets.DatasetVersion;
}

/** Analyses of artifacts, in a process each. Throw JobFailedError where one cannot be analyzed. */
export interface Analyses {
  /** What each layer weighs. */
  weigh(sha256: string, signal: AbortSignal): Promise<optimizer.AnalyzeModelResponse>;
  /** What each layer takes, and how much it minds compression. */
  measure(what: Measurement, signal: AbortSignal): Promise<Measured>;
}

const noNeeds: Answers<PassNeeds> = {
  train: () => Promise.reject(new Error('an analysis trains nothing')),
  progress: () => {},
  turn: () => {},
  turnOver: () => {},
};

/** One after the other: a crowd of callers does not take the machine. Whoever measures waits for the jobs' `inTurn`, too. */
export function createAnalyses(
  options: PassProcessOptions & { readonly artifactsDir: string },
  inTurn: InTurn,
): Analyses {
  const weighing = createTurns();
  const { artifactsDir } = options;
  return {
    weigh: (sha256, signal) =>
      weighing(async () => {
        await using passes = await startPassProcess(options, signal, noNeeds);
        return optimizer.AnalyzeModelResponse.decode(await passes.call('analyze', { artifactsDir, sha256 }));
      }),
    measure: (what, signal) =>
      inTurn(async () => {
        await using passes = await startPassProcess(options, signal, noNeeds);
        return await passes.call('measure', measureOrder(artifactsDir, what));
      }),
  };
}

export const measureOrder = (artifactsDir: string, { parent, dataset, ...rest }: Measurement): MeasureOrder => ({
  artifactsDir,
  parent: registry.Version.encode(parent).finish(),
  dataset: datasets.DatasetVersion.encode(dataset).finish(),
  ...rest,
});
