import { unary } from './gradient-rule.js';
import type { GradientRule } from './gradient-rule.js';
import * as op from './ops.js';
import { scalar } from './value.js';

const { add, sub, mul, div, where } = op;
const one = scalar(1);
const zero = scalar(0);

/** g goes to the elements that equal the extreme, in equal parts. */
const extreme: GradientRule = ({ x, y, g }) => {
  const masks = x.map((operand) => op.indicator(op.equal(operand, y)));
  const ties = masks.reduce(add);
  return masks.map((mask) => () => div(mul(g, mask), ties));
};

export const elementWise: Readonly<Record<string, GradientRule>> = {
  Add: ({ g }) => [() => g, () => g],
  Sub: ({ g }) => [() => g, () => op.neg(g)],
  Mul: ({ x: [a, b], g }) => [() => mul(g, b!), () => mul(g, a!)],
  Div: ({ x: [, b], y, g }) => [() => div(g, b!), () => op.neg(div(mul(g, y), b!))],
  Pow: ({ x: [base, exponent], y, g }) => [
    () => mul(g, mul(exponent!, op.pow(base!, sub(exponent!, one)))),
    () => mul(g, mul(y, op.log(base!))),
  ],
  Neg: unary(({ g }) => op.neg(g)),
  Identity: unary(({ g }) => g),
  Abs: unary(({ g, input }) => mul(g, op.sign(input))),
  Sqrt: unary(({ g, y }) => div(g, op.times(y, 2))),
  Reciprocal: unary(({ g, y }) => op.neg(mul(g, mul(y, y)))),
  Exp: unary(({ g, y }) => mul(g, y)),
  Log: unary(({ g, input }) => div(g, input)),
  Sin: unary(({ g, input }) => mul(g, op.cos(input))),
  Cos: unary(({ g, input }) => op.neg(mul(g, op.sin(input)))),
  Erf: unary(({ g, input }) => mul(g, op.times(op.exp(op.neg(mul(input, input))), 2 / Math.sqrt(Math.PI)))),
  Min: extreme,
  Max: extreme,
  Where: ({ x: [condition], g }) => [undefined, () => where(condition!, g, zero), () => where(condition!, zero, g)],
  Clip: ({ operation, x: [x], g }) => [
    () => {
      const [, low, high] = operation.inputs;
      const above = low && op.greaterOrEqual(x!, low);
      const below = high && op.lessOrEqual(x!, high);
      const within = above && below ? op.and(above, below) : (above ?? below);
      return within ? where(within, g, zero) : g;
    },
  ],
  Cast: unary(({ g, input }) => op.cast(g, input.dataType, input.dataType === 'double' ? 11 : 1)),
};
