import { add, div, mul, sqrt, sub, times } from './ops.js';
import type { OptimizerSpec } from './step-options.js';
import { input, scalar } from './value.js';
import type { Value } from './value.js';

/** Scalars fed at every step. */
export interface Rates {
  readonly learningRate: Value;
  /** Adam's bias corrections. */
  readonly corrections: { readonly c1: Value; readonly c2: Value };
}

/** A weight after one step, and the optimizer's slots (initially zero) now and after it. */
export interface Update {
  readonly weight: Value;
  readonly slots: readonly { readonly now: Value; readonly next: Value }[];
}

/** One weight's update by its gradient `d`; `name` names its slots. */
export function updated(spec: OptimizerSpec, name: string, weight: Value, d: Value, rates: Rates): Update {
  const { learningRate } = rates;
  const slot = (of: string) => input(`${of}/${name}`, weight.shape);
  switch (spec.kind) {
    case 'sgd': {
      const { momentum, nesterov } = spec;
      if (momentum === 0) return { weight: sub(weight, mul(learningRate, d)), slots: [] };
      const now = slot('momentum');
      const next = add(times(now, momentum), d);
      const direction = nesterov ? add(d, times(next, momentum)) : next;
      return { weight: sub(weight, mul(learningRate, direction)), slots: [{ now, next }] };
    }
    case 'adam': {
      const { beta1, beta2, epsilon, weightDecay } = spec;
      const { c1, c2 } = rates.corrections;
      const m = slot('adam.m');
      const v = slot('adam.v');
      const nextM = add(times(m, beta1), times(d, 1 - beta1));
      const nextV = add(times(v, beta2), times(mul(d, d), 1 - beta2));
      const step = div(mul(nextM, mul(learningRate, c1)), add(sqrt(mul(nextV, c2)), scalar(epsilon)));
      const decayed = weightDecay === 0 ? weight : sub(weight, mul(weight, times(learningRate, weightDecay)));
      return {
        weight: sub(decayed, step),
        slots: [
          { now: m, next: nextM },
          { now: v, next: nextV },
        ],
      };
    }
  }
}
