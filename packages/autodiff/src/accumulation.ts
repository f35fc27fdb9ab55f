import type { FreshNames } from '@modelmill/onnx';
import { add, times } from './ops.js';
import type { UpdateRow } from './update-rows.js';
import { input } from './value.js';
import type { Value } from './value.js';

/** A row's gradient, averaged over batches: what earlier ones gave, and with this one's. */
export interface Gathered {
  readonly before: Value;
  readonly sum: Value;
}

/** One per row, or none where every batch makes an update. */
export function gatheredOf(rows: readonly UpdateRow[], batches: number, fresh: FreshNames): readonly Gathered[] {
  if (batches === 1) return [];
  return rows.map(({ g, members }) => {
    const before = input(fresh(members.length === 1 ? `gradient/${members[0]!.name}` : 'gradient'), g.shape);
    return { before, sum: add(before, times(g, 1 / batches)) };
  });
}
