import { TrainingFormError } from './errors.js';
import { add, exp, logSoftmax, mean, mul, neg, oneHot, sub, sum, times } from './ops.js';
import type { LossSpec } from './step-options.js';
import { input } from './value.js';
import type { Value } from './value.js';

export interface Loss {
  /** Scalar: the mean over the batch. */
  readonly value: Value;
  readonly targets: Value;
}

/** The loss of `output` [batch, …] against targets fed under a name. Throws TrainingFormError where they do not fit. */
export function lossOf({ kind }: LossSpec, output: Value, targetsName: string): Loss {
  switch (kind) {
    case 'cross_entropy': {
      const [batch = 0, classes] = classesOf(output);
      const targets = input(targetsName, [batch], 'int64');
      const likelihoods = mul(oneHot(targets, classes!), logSoftmax(output, 1));
      return { value: times(neg(sum(likelihoods)), 1 / batch), targets };
    }
    case 'mse': {
      const targets = input(targetsName, output.shape);
      const error = sub(output, targets);
      return { value: mean(mul(error, error)), targets };
    }
  }
}

/** T² · KL(softmax(teacher / T) ‖ softmax(student / T)), mean over the batch (Hinton, Vinyals and Dean 2015). */
export function distillationLoss(student: Value, teacher: Value, temperature: number): Value {
  const [batch] = classesOf(student);
  const learned = logSoftmax(times(student, 1 / temperature), 1);
  const taught = logSoftmax(times(teacher, 1 / temperature), 1);
  const divergence = sum(mul(exp(taught), sub(taught, learned)));
  return times(divergence, temperature ** 2 / batch);
}

/** mix · soft + (1 − mix) · hard. */
export const mixed = (soft: Value, hard: Value, mix: number): Value => add(times(soft, mix), times(hard, 1 - mix));

function classesOf({ shape }: Value): readonly [batch: number, classes: number] {
  const [batch, classes] = shape;
  if (batch === undefined || classes === undefined || shape.length !== 2) {
    throw new TrainingFormError(`cross-entropy takes an output of [batch, classes], got [${shape.join(', ')}]`);
  }
  return [batch, classes];
}
