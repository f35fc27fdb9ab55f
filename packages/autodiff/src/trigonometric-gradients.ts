import { unary } from './gradient-rule.js';
import type { GradientRule } from './gradient-rule.js';
import * as op from './ops.js';
import { scalar } from './value.js';
import type { Value } from './value.js';

const { add, sub, mul, div } = op;
const one = scalar(1);
const square = (x: Value): Value => mul(x, x);

/** Circular and hyperbolic functions and their inverses. */
export const trigonometric: Readonly<Record<string, GradientRule>> = {
  Sin: unary(({ g, input }) => mul(g, op.cos(input))),
  Cos: unary(({ g, input }) => op.neg(mul(g, op.sin(input)))),
  Tan: unary(({ g, y }) => mul(g, add(one, square(y)))),
  Asin: unary(({ g, input }) => div(g, op.sqrt(sub(one, square(input))))),
  Acos: unary(({ g, input }) => op.neg(div(g, op.sqrt(sub(one, square(input)))))),
  Atan: unary(({ g, input }) => div(g, add(one, square(input)))),
  Sinh: unary(({ g, input }) => mul(g, op.make('Cosh', [input], input.shape))),
  Cosh: unary(({ g, input }) => mul(g, op.make('Sinh', [input], input.shape))),
  Asinh: unary(({ g, input }) => div(g, op.sqrt(add(square(input), one)))),
  Acosh: unary(({ g, input }) => div(g, op.sqrt(sub(square(input), one)))),
  Atanh: unary(({ g, input }) => div(g, sub(one, square(input)))),
};
