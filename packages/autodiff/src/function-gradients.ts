import { unary } from './gradient-rule.js';
import type { GradientRule } from './gradient-rule.js';
import * as op from './ops.js';
import { scalar } from './value.js';
import type { Value } from './value.js';

const { add, div, mul, sub, where } = op;
const one = scalar(1);
const zero = scalar(0);
const square = (x: Value) => mul(x, x);
const root = (x: Value) => op.sqrt(x);
const function1 = (opType: string, x: Value) => op.make(opType, [x], x.shape, x.dataType);

/** Steps: flat wherever they have a derivative. */
const flat: GradientRule = ({ x: [x] }) => [() => op.zeros(x!.shape)];

/** Functions of one input that networks use less often than others. */
export const functionGradients: Readonly<Record<string, GradientRule>> = {
  Tan: unary(({ g, y }) => mul(g, add(one, square(y)))),
  Asin: unary(({ g, input }) => div(g, root(sub(one, square(input))))),
  Acos: unary(({ g, input }) => op.neg(div(g, root(sub(one, square(input)))))),
  Atan: unary(({ g, input }) => div(g, add(one, square(input)))),
  Sinh: unary(({ g, input }) => mul(g, function1('Cosh', input))),
  Cosh: unary(({ g, input }) => mul(g, function1('Sinh', input))),
  Asinh: unary(({ g, input }) => div(g, root(add(square(input), one)))),
  Acosh: unary(({ g, input }) => div(g, root(sub(square(input), one)))),
  Atanh: unary(({ g, input }) => div(g, sub(one, square(input)))),
  Celu: unary(({ g, input, float }) =>
    where(op.greater(input, zero), g, mul(g, op.exp(op.times(input, 1 / float('alpha', 1))))),
  ),
  ThresholdedRelu: unary(({ g, input, float }) => where(op.greater(input, scalar(float('alpha', 1))), g, zero)),
  Shrink: unary(({ g, input, float }) => where(op.greater(op.abs(input), scalar(float('lambd', 0.5))), g, zero)),
  Floor: flat,
  Ceil: flat,
  Round: flat,
  Sign: flat,
  Hardmax: flat,
  Sum: ({ x, g }) => x.map(() => () => g),
  Mean: ({ x, g }) => x.map(() => () => op.times(g, 1 / x.length)),
};
