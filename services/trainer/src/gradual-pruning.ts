import type { TrainingStep } from '@modelmill/autodiff';
import type { trainer } from '@modelmill/contracts';
import { zeroSmallest } from '@modelmill/onnx';
import type { TypedTensor } from '@modelmill/runtime';
import { outOfRange, prunedTwice } from './errors.js';
import { range } from './spec-fields.js';

/** Weights that become zero while training, more and more of them (Zhu and Gupta 2017). */
export interface PlannedPruning {
  readonly groups: readonly PlannedGroup[];
  /** Shares of the steps. */
  readonly begin: number;
  readonly end: number;
  /** 0: as many steps as make 20 prunings. */
  readonly every: number;
}

interface PlannedGroup {
  /** Held against each other. */
  readonly weights: readonly string[];
  readonly initial: number;
  readonly final: number;
}

/** Throws an RpcError that names the field. */
export function planPruning({ groups, begin, end, every }: trainer.GradualPruning): PlannedPruning {
  if (groups.length === 0) throw outOfRange('pruning.groups', 'empty', 'at least one group');
  const known = new Set<string>();
  const planned = groups.map(({ weights, initialSparsity, finalSparsity }, i) => {
    const at = `pruning.groups[${i}]`;
    if (weights.length === 0) throw outOfRange(`${at}.weights`, 'empty', 'at least one name');
    for (const name of weights) {
      if (known.has(name)) throw prunedTwice(at, name);
      known.add(name);
    }
    if (!(finalSparsity > 0 && finalSparsity < 1)) {
      throw outOfRange(`${at}.final_sparsity`, finalSparsity, 'more than 0 and less than 1');
    }
    return {
      weights,
      initial: range(initialSparsity, 0, finalSparsity, `${at}.initial_sparsity`),
      final: finalSparsity,
    };
  });
  if (!(begin >= 0 && begin < 1)) throw outOfRange('pruning.begin', begin, 'at least 0 and less than 1');
  return { groups: planned, begin, end: range(end || Math.max(begin, 0.75), begin, 1, 'pruning.end'), every };
}

/** The steps, counted from 0, before which weights are pruned: the first, the last, and what is between two. */
export interface PruningTimes {
  readonly first: number;
  readonly last: number;
  readonly every: number;
}

export function pruningTimes({ begin, end, every }: PlannedPruning, steps: number): PruningTimes {
  const last = Math.min(Math.floor(end * steps), steps - 1);
  const first = Math.min(Math.floor(begin * steps), last);
  return { first, last, every: every || Math.max(1, Math.ceil((last - first) / 19)) };
}

export const isDue = ({ first, last, every }: PruningTimes, step: number): boolean =>
  step === last || (step >= first && step < last && (step - first) % every === 0);

/** s_f + (s_i − s_f)(1 − (t − t_0) / (t_n − t_0))³ */
export function sparsityAt(
  { initial, final }: Pick<PlannedGroup, 'initial' | 'final'>,
  { first, last }: PruningTimes,
  step: number,
): number {
  if (step >= last) return final;
  const ahead = (1 - (step - first) / (last - first)) ** 3;
  return ahead * initial + (1 - ahead) * final;
}

type State = Record<string, TypedTensor>;

/** A state with more zeros: weights of each group as far as the step asks for, and their averages where they are. */
export function prunedState(
  state: Readonly<State>,
  tensors: TrainingStep['state'],
  { groups }: PlannedPruning,
  times: PruningTimes,
  step: number,
): State {
  const next = { ...state };
  const averages = new Map(tensors.flatMap(({ of, input }) => (of === undefined ? [] : [[of, input] as const])));
  const copied = (name: string): Float32Array => {
    const data = Float32Array.from(state[name]!.data as Float32Array);
    next[name] = { dims: state[name]!.dims, data };
    return data;
  };
  for (const group of groups) {
    const weights = group.weights.map((name) => ({ name, values: copied(name) }));
    zeroSmallest(
      weights.map(({ values }) => values),
      sparsityAt(group, times, step),
    );
    for (const { name, values } of weights) {
      const average = averages.get(name);
      if (average === undefined) continue;
      const own = copied(average);
      values.forEach((value, i) => {
        if (value === 0) own[i] = 0;
      });
    }
  }
  return next;
}
