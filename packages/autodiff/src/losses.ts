import { crossEntropy } from './cross-entropy.js';
import { TrainingFormError } from './errors.js';
import { abs, add, exp, logSoftmax, make, mean, minimum, mul, neg, sigmoid, softplus, sub, sum, times } from './ops.js';
import type { LossKind, LossOf, LossSpec, LossTerm } from './step-options.js';
import { input, scalar, size } from './value.js';
import type { Value } from './value.js';

export interface Loss {
  /** Scalar: the mean over the batch. */
  readonly value: Value;
  readonly targets: Value;
}

interface LossRule<Spec> {
  readonly targets: 'class indices' | 'numbers';
  value(output: Value, targets: Value, spec: Spec): Value;
}

/** One row per loss. */
const lossRules: { readonly [K in LossKind]: LossRule<LossOf<K>> } = {
  cross_entropy: { targets: 'class indices', value: crossEntropy },
  binary_cross_entropy: {
    targets: 'numbers',
    value(x, t, { positiveWeight = 1 }) {
      // (1 − t) x + (1 + (p − 1) t) softplus(−x)
      const rest = sub(scalar(1), t);
      const factor = positiveWeight === 1 ? scalar(1) : add(times(t, positiveWeight - 1), scalar(1));
      const value = mean(add(mul(rest, x), mul(factor, softplus(neg(x)))));
      return closed(value, x, () => sub(rest, mul(factor, sigmoid(neg(x)))));
    },
  },
  mse: {
    targets: 'numbers',
    value(output, targets) {
      const error = sub(output, targets);
      return mean(mul(error, error));
    },
  },
  mae: { targets: 'numbers', value: (output, targets) => mean(abs(sub(output, targets))) },
  huber: {
    targets: 'numbers',
    value(output, targets, { delta }) {
      const error = sub(output, targets);
      const size = abs(error);
      const within = minimum(size, scalar(delta));
      const value = mean(mul(within, sub(size, times(within, 0.5))));
      const bounds = [scalar(-delta), scalar(delta)];
      return closed(value, output, () => make('Clip', [error, ...bounds], error.shape));
    },
  },
};

/** The mean's gradient from that of each element. */
function closed(value: Value, output: Value, each: () => Value): Value {
  value.shortcut = {
    operands: [output],
    gradients: (g) => [() => mul(each(), times(g, 1 / size(output.shape)))],
  };
  return value;
}

/** The loss of `output` [batch, …] against targets fed under a name. Throws TrainingFormError where they do not fit. */
export function lossOf(specs: LossSpec | readonly LossTerm[], output: Value, targetsName: string): Loss {
  const terms: readonly LossTerm[] = 'kind' in specs ? [specs] : specs;
  const [first] = terms;
  if (!first) throw new TrainingFormError('the loss has no terms, wants at least one');
  const wanted = lossRules[first.kind].targets;
  const other = terms.find(({ kind }) => lossRules[kind].targets !== wanted);
  if (other) {
    const of = `${first.kind} takes ${wanted}, ${other.kind} takes ${lossRules[other.kind].targets}`;
    throw new TrainingFormError(`the terms of the loss want different targets: ${of}`);
  }
  const targets =
    wanted === 'numbers' ? input(targetsName, output.shape) : input(targetsName, output.shape.slice(0, -1), 'int64');
  const values = terms.map((term) => {
    const rule = lossRules[term.kind] as LossRule<LossSpec>;
    return times(rule.value(output, targets, term), term.weight ?? 1);
  });
  return { value: values.reduce(add), targets };
}

/** T² · KL(softmax(teacher / T) ‖ softmax(student / T)), mean over the batch (Hinton, Vinyals and Dean 2015). */
export function distillationLoss(student: Value, teacher: Value, temperature: number): Value {
  const { shape } = student;
  const [batch] = shape;
  if (batch === undefined || shape.length !== 2) {
    throw new TrainingFormError(`distillation takes an output of [batch, classes], got [${shape.join(', ')}]`);
  }
  const learned = logSoftmax(times(student, 1 / temperature), 1);
  const taught = logSoftmax(times(teacher, 1 / temperature), 1);
  const shares = exp(taught);
  const value = times(sum(mul(shares, sub(taught, learned))), temperature ** 2 / batch);
  value.shortcut = {
    operands: [student],
    gradients: (g) => [() => mul(sub(exp(learned), shares), times(g, temperature / batch))],
  };
  return value;
}

/** mix · soft + (1 − mix) · hard. */
export const mixed = (soft: Value, hard: Value, mix: number): Value => add(times(soft, mix), times(hard, 1 - mix));
