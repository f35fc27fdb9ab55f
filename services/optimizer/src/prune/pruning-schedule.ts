import { trainer as contract } from '@modelmill/contracts';
import type { optimizer, trainer } from '@modelmill/contracts';
import * as errors from '../errors.js';
import { range } from '../field-checks.js';
import type { PruningGroup } from './prune-magnitude.js';
import type { PruningShares } from './pruning-groups.js';

/** When weights become zero (Zhu and Gupta 2017). */
export interface PlannedSchedule {
  readonly initial: number;
  /** Shares of the fine-tuning. */
  readonly begin: number;
  readonly end: number;
  /** Steps; 0: the trainer's choice. */
  readonly every: number;
}

/** Throws an RpcError that names the field. */
export function planSchedule(
  { initialSparsity, begin, end, every }: optimizer.PruningSchedule,
  { sparsity, layers }: PruningShares,
  at: string,
): PlannedSchedule {
  const asked = [sparsity, ...layers.map((layer) => layer.sparsity)].filter((share) => share > 0);
  const initial = range(initialSparsity, 0, Math.min(...asked), `${at}.initial_sparsity`);
  if (!(begin >= 0 && begin < 1)) throw errors.outOfRange(`${at}.begin`, begin, 'at least 0 and less than 1');
  return { initial, begin, end: range(end || Math.max(begin, 0.75), begin, 1, `${at}.end`), every };
}

/** A schedule as the trainer takes it. */
export const gradualPruning = (
  { initial, begin, end, every }: PlannedSchedule,
  groups: readonly PruningGroup[],
): trainer.GradualPruning =>
  contract.GradualPruning.fromPartial({
    groups: groups.map(({ weights, sparsity }) => ({
      weights: [...weights],
      initialSparsity: initial,
      finalSparsity: sparsity,
    })),
    begin,
    end,
    every,
  });

export const scheduleInWords = ({ initial, begin, end }: PlannedSchedule, epochs: number): string =>
  `Zeros came step by step, from ${percent(initial)} of the weights after ${percent(begin)} of ${epochs} epochs of ` +
  `fine-tuning to all of them after ${percent(end)}, the smallest first, and stayed zero.`;

const percent = (share: number) => `${Number((100 * share).toPrecision(4))} %`;
