import { TrainingFormError } from './errors.js';
import { add, exp, logSoftmax, mean, mul, neg, oneHot, reshape, sub, sum, times } from './ops.js';
import type { LossSpec } from './step-options.js';
import { input, size } from './value.js';
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
      const { shape } = output;
      const classes = shape.at(-1);
      if (classes === undefined || shape.length < 2) throw wrongOutput(shape);
      const targets = input(targetsName, shape.slice(0, -1), 'int64');
      const rows = size(targets.shape);
      const likelihoods = mul(
        oneHot(reshape(targets, [rows]), classes),
        logSoftmax(reshape(output, [rows, classes]), 1),
      );
      return { value: times(neg(sum(likelihoods)), 1 / rows), targets };
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
    throw wrongOutput(shape);
  }
  return [batch, classes];
}

const wrongOutput = (shape: readonly number[]) =>
  new TrainingFormError(`cross-entropy takes an output of [batch, …, classes], got [${shape.join(', ')}]`);
