import { optimizer } from '@modelmill/contracts';
import { createTurns } from '../turns.js';
import type { Answers } from './calls.js';
import type { PassNeeds } from './pass-calls.js';
import { startPassProcess } from './start-pass-process.js';
import type { PassProcessOptions } from './start-pass-process.js';

/** Analyses of artifacts. Throws JobFailedError where one cannot be analyzed. */
export type AnalyzeArtifact = (sha256: string, signal: AbortSignal) => Promise<optimizer.AnalyzeModelResponse>;

const noNeeds: Answers<PassNeeds> = {
  train: () => Promise.reject(new Error('an analysis trains nothing')),
  progress: () => {},
  turn: () => {},
  turnOver: () => {},
};

/** In a process each, one after the other: a crowd of callers does not take the machine. */
export function createAnalysis(options: PassProcessOptions & { readonly artifactsDir: string }): AnalyzeArtifact {
  const inTurn = createTurns();
  const { artifactsDir } = options;
  return (sha256, signal) =>
    inTurn(async () => {
      await using passes = await startPassProcess(options, signal, noNeeds);
      return optimizer.AnalyzeModelResponse.decode(await passes.call('analyze', { artifactsDir, sha256 }));
    });
}
