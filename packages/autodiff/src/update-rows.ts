import type { Layout } from './hidden-matrices.js';
import { concat, reshape, split } from './ops.js';
import { groupOf } from './parameter-groups.js';
import type { StepOptions } from './step-options.js';
import { size } from './value.js';
import type { Value } from './value.js';

/** A weight between the input and the loss, and its gradient. */
export interface Moving {
  readonly name: string;
  readonly weight: Value;
  readonly g: Value;
  /** 1 where it may change; undefined where it may everywhere. */
  readonly mask: Value | undefined;
  /** More of it may become zero between two steps. */
  readonly isPruned: boolean;
}

/** Weights that are updated in the same way at once. */
export interface UpdateRow {
  readonly members: readonly Moving[];
  /** The gradient: of a weight's own shape, or of several weights in one flat row. */
  readonly g: Value;
  /** Of a matrix that Muon's iteration takes; undefined where updates are element by element. */
  readonly layout: Layout | undefined;
  readonly rateScale: number;
  readonly decay: number;
  /** What is taken from the row as what is taken from each member. */
  parts(taken: Value): readonly Value[];
}

/** Elements from which a weight is updated alone: copying it into a row costs more than some operators on it. */
const large = 2 ** 14;

/** Small weights that are treated alike lie in one row: one operator instead of one for each. */
export function updateRows(
  moving: readonly Moving[],
  options: StepOptions,
  hidden: ReadonlyMap<Value, Layout>,
): UpdateRow[] {
  const { optimizer, groups = [], decayMatricesOnly = false } = options;
  const shared = new Map<string, { like: Omit<UpdateRow, 'members' | 'g' | 'parts'>; members: Moving[] }>();
  const rows: UpdateRow[] = [];
  for (const member of moving) {
    const { name, weight } = member;
    const matrix = weight.shape.length >= 2;
    const group = groupOf(name, groups);
    const ofOptimizer = 'weightDecay' in optimizer ? optimizer.weightDecay : 0;
    const layout = optimizer.kind === 'muon' ? hidden.get(weight) : undefined;
    const toAdam = optimizer.kind === 'muon' && !layout ? optimizer.adamRate : 1;
    const like = {
      layout,
      rateScale: (group?.learningRateScale ?? 1) * toAdam,
      decay: decayMatricesOnly && !matrix ? 0 : (group?.weightDecay ?? ofOptimizer),
    };
    if (layout || size(weight.shape) >= large) {
      rows.push({ ...like, members: [member], g: member.g, parts: (taken) => [taken] });
      continue;
    }
    const key = `${like.rateScale}|${like.decay}`;
    const row = shared.get(key) ?? { like, members: [] };
    row.members.push(member);
    shared.set(key, row);
  }
  for (const { like, members } of shared.values()) {
    const lengths = members.map(({ weight }) => size(weight.shape));
    rows.push({
      ...like,
      members,
      g: concat(
        members.map(({ g }) => reshape(g, [size(g.shape)])),
        0,
      ),
      parts(taken) {
        const each = members.length === 1 ? [taken] : split(taken, lengths, 0);
        return members.map(({ weight }, i) => reshape(each[i]!, weight.shape));
      },
    });
  }
  return rows;
}
