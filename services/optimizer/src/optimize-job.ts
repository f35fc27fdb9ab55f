import { optimizer } from '@modelmill/contracts';
import { JobFailedError } from '@modelmill/store';
import type { JobClaim, JobResult, Store } from '@modelmill/store';
import { isFinal } from './final-error.js';
import { gateFault } from './gate.js';
import type { Tell } from './make-passes.js';
import { pinnedPlan } from './pinned-plan.js';
import { passesOf } from './preset-passes.js';
import { createMaker } from './process/make-in-process.js';
import type { PassProcessDeps } from './process/make-in-process.js';
import { registerResult } from './register-result.js';
import { reportStages } from './report-stages.js';
import { search } from './search/search.js';
import { unitOf } from './task.js';

export interface OptimizeDeps extends PassProcessDeps {
  readonly store: Pick<Store, 'registry' | 'datasets' | 'jobs' | 'artifacts'>;
}

/** Makes the passes of a job, holds the result against its parent, and registers it: once, however often it is tried. */
export async function optimizeJob(deps: OptimizeDeps, claim: JobClaim): Promise<JobResult> {
  const stages = reportStages(claim);
  try {
    return await optimize(deps, claim, stages.tell);
  } catch (error) {
    throw isFinal(error) ? new JobFailedError(error.message, { cause: error }) : error;
  } finally {
    await stages.flush();
  }
}

async function optimize(deps: OptimizeDeps, claim: JobClaim, tell: Tell): Promise<JobResult> {
  await tell('preparing', 0);
  const pinned = await pinnedPlan(deps.store, claim);
  const { plan, parent, task } = pinned;
  await using maker = createMaker(deps, claim, pinned);
  if (plan.goal) return await search(deps.store, claim, { pinned, maker, goal: plan.goal }, tell);

  const passes = passesOf(optimizer.OptimizationSpec.decode(claim.job.spec));
  const made = await maker.make(passes, () => claim.job.id, tell);
  const on = ` on ${made.report.dataset.evaluated_rows} held-out ${unitOf(task)}`;
  const fault = gateFault(task.kind, made.figures, plan.bound, on);
  if (fault !== undefined) throw new JobFailedError(fault);
  const report = { ...made.report, job: claim.job.id };
  return await registerResult(deps.store, claim, { ...made, parent, report, registration: claim.job.id });
}
