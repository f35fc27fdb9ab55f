import type { optimizer } from '@modelmill/contracts';
import * as errors from './errors.js';
import { range, word } from './field-checks.js';
import type { Bound } from './gate.js';
import type { PlanSubject } from './pass-context.js';
import type { PlannedPass } from './pass-kind.js';
import { planPasses } from './passes.js';
import { passesOf } from './preset-passes.js';
import { planGoal } from './search/goal.js';
import type { PlannedGoal } from './search/goal.js';

const names = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$/;
const mostPasses = 10;
const defaultDrop = 0.05;
const normalizations = ['standard', 'minmax', 'none'] as const;

/** An optimization spec with its defaults filled in. */
export interface OptimizationPlan extends PlanSubject {
  readonly passes: readonly PlannedPass[];
  /** How much worse than its parent a result may be. */
  readonly bound: Bound;
  /** What is searched for, where there are no passes. */
  readonly goal: PlannedGoal | undefined;
}

/** Checks what can be checked without looking anything up; throws an RpcError naming the field. */
export function planOptimization(spec: optimizer.OptimizationSpec | undefined): OptimizationPlan {
  if (spec === undefined) throw errors.specMissing();
  if (spec.preset !== '' && spec.goal) throw errors.presetAndOthers('goal');
  const listed = passesOf(spec);
  if (listed.length === 0 && !spec.goal) throw errors.noPasses();
  if (listed.length > 0 && spec.goal) throw errors.passesAndGoal();
  if (listed.length > mostPasses) throw errors.tooManyPasses(listed.length, mostPasses);
  const passes = planPasses(listed);
  return {
    model: name(spec.model, 'model'),
    version: name(spec.version, 'version'),
    passes,
    data: {
      dataset: name(spec.data?.dataset ?? '', 'data.dataset'),
      version: spec.data?.version ?? '',
      normalize: word(spec.data?.normalize || 'none', normalizations, 'data.normalize'),
      tokenizer: spec.data?.tokenizer,
      context: spec.data?.context ?? 0,
    },
    bound: boundOf(spec),
    seed: spec.seed,
    goal: spec.goal && planGoal(spec.goal),
  };
}

function boundOf({ maxAccuracyDrop, maxDrop }: optimizer.OptimizationSpec): Bound {
  if (maxAccuracyDrop !== 0 && maxDrop !== 0) throw errors.twoDrops();
  return maxAccuracyDrop !== 0
    ? { maxDrop: range(maxAccuracyDrop, 0, 1, 'max_accuracy_drop'), field: 'max_accuracy_drop' }
    : { maxDrop: range(maxDrop || defaultDrop, 0, 1e6, 'max_drop'), field: 'max_drop' };
}

function name(got: string, field: string): string {
  if (!names.test(got)) throw errors.badName(field, got);
  return got;
}
