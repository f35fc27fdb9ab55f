import type { FreshNames } from './fresh-names.js';
import { add, div, mul, sqrt, times } from './ops.js';
import type { OptimizerSpec } from './step-options.js';
import { input, scalar } from './value.js';
import type { Value } from './value.js';

/** Scalars fed at every step. */
export interface Rates {
  readonly learningRate: Value;
  /** Adam's bias corrections. */
  readonly corrections: { readonly c1: Value; readonly c2: Value };
}

/** What is taken from the weights, and the optimizer's slots (initially zero) now and after the step. */
export interface Update {
  readonly taken: Value;
  readonly slots: readonly { readonly now: Value; readonly next: Value }[];
}

/** The update by the gradient `d`: of all weights at once, which takes far fewer operators than of one after the other. */
export function updateBy(
  spec: OptimizerSpec,
  d: Value,
  { learningRate, corrections }: Rates,
  fresh: FreshNames,
): Update {
  switch (spec.kind) {
    case 'sgd': {
      const { momentum, nesterov } = spec;
      if (momentum === 0) return { taken: mul(learningRate, d), slots: [] };
      const now = input(fresh('momentum'), d.shape);
      const next = add(times(now, momentum), d);
      const direction = nesterov ? add(d, times(next, momentum)) : next;
      return { taken: mul(learningRate, direction), slots: [{ now, next }] };
    }
    case 'adam': {
      const { beta1, beta2, epsilon } = spec;
      const { c1, c2 } = corrections;
      const m = input(fresh('adam.m'), d.shape);
      const v = input(fresh('adam.v'), d.shape);
      const nextM = add(times(m, beta1), times(d, 1 - beta1));
      const nextV = add(times(v, beta2), times(mul(d, d), 1 - beta2));
      return {
        taken: div(mul(nextM, mul(learningRate, c1)), add(sqrt(mul(nextV, c2)), scalar(epsilon))),
        slots: [
          { now: m, next: nextM },
          { now: v, next: nextV },
        ],
      };
    }
  }
}
