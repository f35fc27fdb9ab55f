import { axisOf, unary } from './gradient-rule.js';
import type { GradientRule } from './gradient-rule.js';
import * as op from './ops.js';
import { scalar } from './value.js';

const { add, sub, mul, div, where } = op;
const one = scalar(1);
const zero = scalar(0);

export const activations: Readonly<Record<string, GradientRule>> = {
  Relu: unary(({ g, y }) => mul(g, op.positive(y))),
  LeakyRelu: unary(({ g, input, float }) => where(op.greater(input, zero), g, op.times(g, float('alpha', 0.01)))),
  PRelu: ({ x: [x, slope], g }) => [
    () => where(op.greater(x!, zero), g, mul(g, slope!)),
    () => where(op.greater(x!, zero), zero, mul(g, x!)),
  ],
  Elu: unary(({ g, input, y, float }) => where(op.greater(input, zero), g, mul(g, add(y, scalar(float('alpha', 1)))))),
  Celu: unary(({ g, input, y, float }) =>
    where(op.greater(input, zero), g, mul(g, add(op.times(y, 1 / float('alpha', 1)), one))),
  ),
  ThresholdedRelu: unary(({ g, input, float }) => where(op.greater(input, scalar(float('alpha', 1))), g, zero)),
  Shrink: unary(({ g, input, float }) => where(op.greater(op.abs(input), scalar(float('lambd', 0.5))), g, zero)),
  Selu: unary(({ g, input, y, float }) => {
    const alpha = float('alpha', 1.6732632423543772);
    const gamma = float('gamma', 1.0507009873554805);
    return where(op.greater(input, zero), op.times(g, gamma), mul(g, add(y, scalar(alpha * gamma))));
  }),
  Sigmoid: unary(({ g, y }) => mul(g, mul(y, sub(one, y)))),
  HardSigmoid: unary(({ g, y, float }) =>
    where(op.and(op.greater(y, zero), op.greater(one, y)), op.times(g, float('alpha', 0.2)), zero),
  ),
  HardSwish: unary(({ g, input }) => {
    const inner = mul(g, op.times(add(op.times(input, 2), scalar(3)), 1 / 6));
    return where(op.greater(input, scalar(3)), g, where(op.greater(input, scalar(-3)), inner, zero));
  }),
  Tanh: unary(({ g, y }) => mul(g, sub(one, mul(y, y)))),
  Softplus: unary(({ g, input }) => mul(g, op.sigmoid(input))),
  Softsign: unary(({ g, input }) => {
    const reach = add(one, op.make('Abs', [input], input.shape));
    return div(g, mul(reach, reach));
  }),
  Mish: unary(({ g, input }) => {
    const t = op.tanh(op.softplus(input));
    return mul(g, add(t, mul(mul(input, sub(one, mul(t, t))), op.sigmoid(input))));
  }),
  Softmax: unary(({ g, y, int }) => {
    const axis = axisOf(int('axis', -1), y);
    return mul(y, sub(g, op.reduceSum(mul(g, y), [axis], true)));
  }),
  LogSoftmax: unary(({ g, y, int }) => {
    const axis = axisOf(int('axis', -1), y);
    return sub(g, mul(op.exp(y), op.reduceSum(g, [axis], true)));
  }),
};
