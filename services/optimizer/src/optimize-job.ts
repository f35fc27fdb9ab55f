import { JobFailedError } from '@modelmill/store';
import type { JobClaim, JobResult } from '@modelmill/store';
import { makeCandidate, parentAndRows } from './candidate.js';
import type { CandidateDeps, OptimizeStore } from './candidate.js';
import { readExamples } from './examples.js';
import { isFinal } from './final-error.js';
import { gateFault } from './gate.js';
import type { Tell } from './make-passes.js';
import { pinnedPlan } from './pinned-plan.js';
import { registerResult } from './register-result.js';
import { search } from './search/search.js';
import { unitOf } from './task.js';

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
  const { plan, parent, dataset, task } = pinned;
  using examples = await readExamples(deps.store.artifacts, dataset, task);
  if (plan.goal) return search(deps, claim, { pinned, examples, goal: plan.goal }, tell);

  const order = { pinned, examples, passes: plan.passes, jobName: claim.job.id };
  const { model, words, notes, artifact, figures, engine } = await makeCandidate(deps, claim, order, tell);
  const on = ` on ${examples.heldOut.length} held-out ${unitOf(task)}`;
  const fault = gateFault(task.kind, figures, plan.bound, on);
  if (fault !== undefined) throw new JobFailedError(fault);
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
