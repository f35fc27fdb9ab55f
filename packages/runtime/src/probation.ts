import { RunnerError } from './runner-error.js';
import { startRunner } from './runner.js';
import type { LoadedModel } from './runner.js';
import { zeroInputs } from './zero-inputs.js';

export interface ProbationLimits {
  /** For loading, and again for the run. Default 5 s. */
  readonly timeoutMs?: number;
  readonly memoryLimitBytes?: number;
}

/**
 * Loads a model in a throw-away process and runs it once with zeros. Throws RunnerError where it does not load, does
 * not end, takes too much memory or takes its process down. A plain error of the run alone is no reason against a
 * model with variable dimensions beyond the first: no size to try is known to fit.
 */
export async function probation(path: string, limits: ProbationLimits = {}): Promise<LoadedModel> {
  const { timeoutMs = 5_000, memoryLimitBytes } = limits;
  await using runner = await startRunner({
    providers: ['cpu'],
    requestTimeoutMs: timeoutMs,
    ...(memoryLimitBytes === undefined ? {} : { memoryLimitBytes }),
  });
  const model = await runner.load('probation', path);
  try {
    await runner.run('probation', zeroInputs(model.inputs));
  } catch (error) {
    const sizesAreOpen = model.inputs.some(({ shape }) => shape.slice(1).includes(-1));
    if (!(error instanceof RunnerError && error.kind === 'model' && sizesAreOpen)) throw error;
  }
  return model;
}
