import { TrainingFormError } from './errors.js';
import * as op from './ops.js';
import type { LossOf } from './step-options.js';
import { constant, scalar, size } from './value.js';
import type { Value } from './value.js';

const { add, div, exp, logSoftmax, mul, neg, reshape, sub, sum, times } = op;

/** Classes beyond which a matrix of ones and zeros costs more than looking single elements up: a third at 65. */
const manyClasses = 32;

/**
 * −Σ q · log softmax(x), over the weight of the rows, with q the targets as distributions. The gradient is in closed form:
 * (softmax(x) · Σq − q) / weight.
 */
export function crossEntropy(output: Value, targets: Value, spec: LossOf<'cross_entropy'>): Value {
  const { shape } = output;
  const classes = shape.at(-1);
  if (classes === undefined || shape.length < 2) {
    throw new TrainingFormError(`cross-entropy takes an output of [batch, …, classes], got [${shape.join(', ')}]`);
  }
  const rows = size(targets.shape);
  const x = reshape(output, [rows, classes]);
  const t = reshape(targets, [rows, 1]);
  const { classWeights, labelSmoothing = 0, ignoreIndex } = spec;
  if (classWeights && classWeights.length !== classes) {
    throw new TrainingFormError(`cross-entropy has ${classWeights.length} class weights, wants ${classes}`);
  }
  const plain = classWeights === undefined && labelSmoothing === 0 && ignoreIndex === undefined;
  return plain && classes > manyClasses ? lookedUp(x, t) : spreadOut(x, t, spec);
}

function lookedUp(x: Value, t: Value): Value {
  const [rows = 1] = x.shape;
  const logs = logSoftmax(x, 1);
  const chosen = op.make('GatherElements', [logs, t], [rows, 1], 'float', { axis: op.int(1) });
  const value = times(neg(sum(chosen)), 1 / rows);
  const minusOne = constant(new Float32Array(rows).fill(-1), [rows, 1]);
  const add = { kind: 'string', value: 'add' } as const;
  value.shortcut = {
    operands: [x],
    gradients: (g) => [
      () =>
        mul(
          op.make('ScatterElements', [exp(logs), t, minusOne], x.shape, 'float', { axis: op.int(1), reduction: add }),
          times(g, 1 / rows),
        ),
    ],
  };
  return value;
}

function spreadOut(
  x: Value,
  t: Value,
  { classWeights, labelSmoothing = 0, ignoreIndex }: LossOf<'cross_entropy'>,
): Value {
  const [rows = 1, classes = 1] = x.shape;
  const logs = logSoftmax(x, 1);
  const hot = op.oneHot(reshape(t, [rows]), classes);
  const perClass = classWeights && constant(classWeights, [1, classes]);
  // an ignored target may be no class: its row is empty then, and counted nowhere
  const counted =
    ignoreIndex === undefined
      ? undefined
      : sub(scalar(1), op.indicator(op.equal(t, constant([ignoreIndex], [], 'int64'))));
  const weighted = perClass ? mul(hot, perClass) : hot;
  const smooth = perClass ? times(perClass, labelSmoothing / classes) : scalar(labelSmoothing / classes);
  const spread = labelSmoothing === 0 ? weighted : add(times(weighted, 1 - labelSmoothing), smooth);
  const q = counted ? mul(spread, counted) : spread;
  const weights = counted ? mul(weighted, counted) : weighted;
  // a batch without a counted target has loss 0, not 0 / 0
  const weight = perClass || counted ? op.maximum(sum(weights), scalar(1e-12)) : scalar(rows);
  const value = div(neg(sum(mul(q, logs))), weight);
  const mass = perClass || counted ? op.reduceSum(q, [1], true) : undefined;
  value.shortcut = {
    operands: [x],
    gradients: (g) => [() => mul(sub(mass ? mul(exp(logs), mass) : exp(logs), q), div(g, weight))],
  };
  return value;
}
