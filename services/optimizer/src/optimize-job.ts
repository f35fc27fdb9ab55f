import { JobFailedError } from '@modelmill/store';
import type { JobClaim, JobResult } from '@modelmill/store';
import { makeCandidate, parentAndRows } from './candidate.js';
import type { CandidateDeps, OptimizeStore } from './candidate.js';
import { readExamples } from './examples.js';
import { isFinal } from './final-error.js';
import type { Tell } from './make-passes.js';
import { pinnedPlan } from './pinned-plan.js';
import { registerResult } from './register-result.js';
import type { Figures } from './report.js';
import { search } from './search/search.js';

export interface OptimizeDeps extends CandidateDeps {
  readonly store: OptimizeStore;
}

/** Makes the passes of a job, holds the result against its parent, and registers it: once, however often it is tried. */
export async function optimizeJob(deps: OptimizeDeps, claim: JobClaim): Promise<JobResult> {
  try {
    return await optimize(deps, claim);
  } catch (error) {
    throw isFinal(error) ? new JobFailedError(error.message, { cause: error }) : error;
  }
}

async function optimize(deps: OptimizeDeps, claim: JobClaim): Promise<JobResult> {
  const tell = teller(claim);
  await tell('preparing', 0);
  const pinned = await pinnedPlan(deps.store, claim);
  const { plan, parent, dataset } = pinned;
  using examples = await readExamples(deps.store.artifacts, dataset);
  if (plan.goal) return search(deps, claim, { pinned, examples, goal: plan.goal }, tell);

  const order = { pinned, examples, passes: plan.passes, jobName: claim.job.id };
  const { model, words, notes, artifact, figures, engine } = await makeCandidate(deps, claim, order, tell);
  checkAccuracy(figures, plan.maxAccuracyDrop, examples.test.length);
  const report = {
    ...parentAndRows(pinned, examples, figures.parent),
    job: claim.job.id,
    passes: words,
    notes,
    candidate: { sha256: artifact.sha256, ...figures.candidate },
    engine,
  };
  return registerResult(deps.store, claim, { model, artifact, parent, figures, report, registration: claim.job.id });
}

/** Writes where something has changed noticeably. */
function teller(claim: JobClaim): Tell {
  let told = { stage: '', done: -1 };
  return async (stage, done) => {
    if (stage === told.stage && Math.abs(done - told.done) < 0.01) return;
    told = { stage, done };
    claim.progressed(told);
    await claim.update(told);
  };
}

function checkAccuracy(
  { parent, candidate }: Readonly<Record<'parent' | 'candidate', Figures>>,
  allowed: number,
  rows: number,
): void {
  const drop = parent.accuracy - candidate.accuracy;
  if (drop <= allowed + 1e-9) return; // the last bits of a difference of fractions do not decide
  throw new JobFailedError(
    `accuracy fell from ${parent.accuracy.toFixed(4)} to ${candidate.accuracy.toFixed(4)} on ${rows} held-out rows: ` +
      `a drop of ${drop.toFixed(4)}, max_accuracy_drop is ${allowed}`,
  );
}
