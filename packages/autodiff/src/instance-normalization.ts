import type { Reading } from './reading.js';
import * as op from './ops.js';
import { scalar } from './value.js';
import type { Value } from './value.js';

const { add, mul, sub } = op;

/** Every channel of every example with its own mean and variance (Ulyanov et al. 2016). */
export function instanceNormalization({ x: [x, scale, bias], float }: Reading): Value {
  const axes = [...x!.shape.keys()].slice(2);
  const perChannel = (v: Value) => op.reshape(v, [v.shape[0]!, ...axes.map(() => 1)]);
  const centred = sub(x!, op.reduceMean(x!, axes, true));
  const variance = op.reduceMean(mul(centred, centred), axes, true);
  const inverse = op.reciprocal(op.sqrt(add(variance, scalar(float('epsilon', 1e-5)))));
  const normalized = mul(centred, inverse);
  const result = add(mul(normalized, perChannel(scale!)), perChannel(bias!));
  const others = [0, ...axes];
  result.shortcut = {
    operands: [x!, scale!, bias!],
    gradients: (g) => {
      const aligned = op.reduceMean(mul(g, normalized), axes, true);
      return [
        () =>
          mul(mul(perChannel(scale!), inverse), sub(sub(g, op.reduceMean(g, axes, true)), mul(normalized, aligned))),
        () => op.reshape(op.reduceSum(mul(g, normalized), others, true), scale!.shape),
        () => op.reshape(op.reduceSum(g, others, true), bias!.shape),
      ];
    },
  };
  return result;
}
