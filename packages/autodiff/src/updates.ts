import type { FreshNames } from '@modelmill/onnx';
import type { Layout } from './hidden-matrices.js';
import { add, div, mul, sign, sqrt, sub, times } from './ops.js';
import { orthogonalized } from './orthogonalized.js';
import type { AdamSpec, OptimizerKind, OptimizerOf, OptimizerSpec } from './step-options.js';
import { plus, squared } from './table-rows.js';
import { input, scalar } from './value.js';
import type { Value } from './value.js';

/** Scalars fed at every step. */
export interface Rates {
  readonly learningRate: Value;
  /** Adam's bias corrections: 1 / (1 − βᵗ). */
  readonly corrections: { readonly c1: Value; readonly c2: Value };
}

/** What is taken from the weights, and the optimizer's slots (initially zero) now and after the step. */
export interface Update {
  readonly taken: Value;
  readonly slots: readonly { readonly now: Value; readonly next: Value }[];
}

interface Question<Spec> {
  readonly spec: Spec;
  /** The gradient, clipped. */
  readonly d: Value;
  readonly rates: Rates;
  /** Of a matrix that is updated alone. */
  readonly layout?: Layout | undefined;
  /** A slot of d's shape. */
  slot(name: string): Value;
}

type UpdateRule<Spec> = (question: Question<Spec>) => Update;

/**
 * One row per optimizer. Every operator is a pass over memory as large as the weights, so constant factors stand where they
 * meet scalars: Adam's and RMSprop's means are kept undivided by 1 − β.
 */
const updateRules: { readonly [K in OptimizerKind]: UpdateRule<OptimizerOf<K>> } = {
  sgd: ({ spec: { momentum, nesterov }, d, rates: { learningRate }, slot }) => {
    if (momentum === 0) return { taken: mul(d, learningRate), slots: [] };
    const now = slot('momentum');
    const next = plus(times(now, momentum), d);
    const direction = nesterov ? add(d, times(next, momentum)) : next;
    return { taken: mul(direction, learningRate), slots: [{ now, next }] };
  },
  adam,
  rms_prop: ({ spec: { decay, epsilon, momentum }, d, rates: { learningRate }, slot }) => {
    const now = slot('rms_prop.v');
    const next = plus(times(now, decay), squared(d));
    const whole = Math.sqrt(1 - decay);
    const direction = div(d, add(sqrt(next), scalar(epsilon / whole)));
    const squares = { now, next };
    if (momentum === 0) return { taken: mul(direction, times(learningRate, 1 / whole)), slots: [squares] };
    const moving = slot('rms_prop.momentum');
    const moved = add(times(moving, momentum), direction);
    return {
      taken: mul(moved, times(learningRate, 1 / whole)),
      slots: [squares, { now: moving, next: moved }],
    };
  },
  adagrad: ({ spec: { epsilon }, d, rates: { learningRate }, slot }) => {
    const now = slot('adagrad.v');
    const next = plus(now, squared(d));
    return { taken: mul(div(d, add(sqrt(next), scalar(epsilon))), learningRate), slots: [{ now, next }] };
  },
  lion: ({ spec: { beta1, beta2 }, d, rates: { learningRate }, slot }) => {
    const now = slot('lion.m');
    const next = add(times(now, beta2), times(d, 1 - beta2));
    const direction = sign(add(times(now, beta1), times(d, 1 - beta1)));
    return { taken: mul(direction, learningRate), slots: [{ now, next }] };
  },
  muon: ({ spec: { momentum }, d, rates: { learningRate }, layout = 'outputs first', slot }) => {
    const now = slot('muon.momentum');
    const next = add(times(now, momentum), times(d, 1 - momentum));
    const direction = orthogonalized(add(times(next, momentum), times(d, 1 - momentum)), layout);
    return { taken: mul(direction, learningRate), slots: [{ now, next }] };
  },
};

function adam({ spec: { beta1, beta2, epsilon }, d, rates, slot }: Question<AdamSpec>): Update {
  const { c1, c2 } = rates.corrections;
  const m = slot('adam.m');
  const v = slot('adam.v');
  const nextM = plus(times(m, beta1), d);
  const nextV = plus(times(v, beta2), squared(d));
  // √(c2 (1 − β2) v) + ε = whole · (√v + ε / whole)
  const whole = sqrt(times(c2, 1 - beta2));
  const rate = div(mul(rates.learningRate, times(c1, 1 - beta1)), whole);
  return {
    taken: mul(div(nextM, add(sqrt(nextV), div(scalar(epsilon), whole))), rate),
    slots: [
      { now: m, next: nextM },
      { now: v, next: nextV },
    ],
  };
}

/** The update by the gradient `d`, with slots that are there. Slots are asked for in the order in which they are given. */
export function updateWith(question: Question<OptimizerSpec>): Update {
  const rule = updateRules[question.spec.kind] as UpdateRule<OptimizerSpec>;
  return rule(question);
}

/** The update of one weight, or of several in a row, by the gradient `d`. */
export function updateBy(
  spec: OptimizerSpec,
  d: Value,
  rates: Rates,
  fresh: FreshNames,
  of = '',
  layout?: Layout,
): Update {
  const slot = (name: string) => input(fresh(of === '' ? name : `${name}/${of}`), d.shape);
  return updateWith({ spec, d, rates, layout, slot });
}

/** As Muon does what is no matrix of a hidden layer. */
export function updateByAdam(spec: AdamSpec, d: Value, rates: Rates, fresh: FreshNames, of = ''): Update {
  return adam({ spec, d, rates, slot: (name) => input(fresh(of === '' ? name : `${name}/${of}`), d.shape) });
}

/** w − rate · decay · w − taken. */
export const moved = (weight: Value, taken: Value, learningRate: Value, decay: number): Value =>
  sub(decay === 0 ? weight : mul(weight, sub(scalar(1), times(learningRate, decay))), taken);
