import { optimizer as contract } from '@modelmill/contracts';
import type { JobClaim, Store } from '@modelmill/store';
import { checkOptimization } from './check-optimization.js';
import type { CheckedOptimization } from './check-optimization.js';
import { tokenizerSpec } from './task.js';
import { planOptimization } from './optimization-plan.js';
import type { OptimizationPlan } from './optimization-plan.js';

/** A checked plan that names its versions by number. */
export interface PinnedPlan extends CheckedOptimization {
  readonly plan: OptimizationPlan;
}

/** What is kept with the job. */
interface Numbers {
  readonly version: string;
  readonly datasetVersion: string;
}

/**
 * The plan of a job. What its labels meant is looked up at the first try and kept, so that a label that moves between
 * two tries does not make another job of it. Throws an RpcError or the store's NotFoundError.
 */
export async function pinnedPlan(
  store: Pick<Store, 'registry' | 'datasets' | 'artifacts'>,
  claim: Pick<JobClaim, 'job' | 'update'>,
): Promise<PinnedPlan> {
  const asked = planOptimization(contract.OptimizationSpec.decode(claim.job.spec));
  const { progress } = claim.job;
  if (progress !== undefined) {
    const { version, datasetVersion } = JSON.parse(Buffer.from(progress).toString()) as Numbers;
    const plan = { ...asked, version, data: { ...asked.data, version: datasetVersion } };
    return pinned(plan, await checkOptimization(store, plan));
  }
  const checked = await checkOptimization(store, asked);
  const plan = pinned(asked, checked);
  await claim.update({ progress: Buffer.from(JSON.stringify(numbersOf(plan.plan))) });
  return plan;
}

/** What a job keeps of its plan. */
export const numbersOf = ({ version, data }: OptimizationPlan): Numbers => ({ version, datasetVersion: data.version });

/** The plan with what its labels meant, and with the parent's own tokenizer and windows for those who train. */
export function pinned(plan: OptimizationPlan, checked: CheckedOptimization): PinnedPlan {
  const { parent, dataset, task } = checked;
  const text = task.kind === 'text' ? { tokenizer: tokenizerSpec(task.tokenizer), context: task.context } : {};
  const data = { ...plan.data, ...text, version: dataset.version };
  return { plan: { ...plan, version: parent.version, data }, ...checked };
}
