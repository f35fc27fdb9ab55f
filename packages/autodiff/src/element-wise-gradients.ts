import { unary } from './gradient-rule.js';
import type { GradientRule } from './gradient-rule.js';
import * as op from './ops.js';
import { isFloat, scalar } from './value.js';
import type { Value } from './value.js';

const { add, sub, mul, div, where } = op;
const one = scalar(1);
const zero = scalar(0);

/** Steps: no gradient but at the jumps. */
const flat: GradientRule = unary(({ input }) => op.zeros(input.shape));

/** A gradient in its input's type. */
const back = (g: Value, { dataType }: Value): Value => op.cast(g, dataType, dataType === 'double' ? 11 : 1);

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
  Pow: ({ x: [base, exponent], y, g }) => {
    const power = isFloat(exponent!) ? exponent! : op.cast(exponent!, base!.dataType, 1);
    return [
      () => mul(g, mul(power, op.pow(base!, sub(power, one)))),
      // a logarithm of what is not positive would be no number even where the power is zero
      () => mul(g, mul(y, op.log(where(op.greater(base!, zero), base!, one)))),
    ];
  },
  Sum: ({ x, g }) => x.map(() => () => g),
  Mean: ({ x, g }) => x.map(() => () => op.times(g, 1 / x.length)),
  CumSum: ({ operation, g, int }) => [
    () =>
      op.make('CumSum', [g, operation.inputs[1]], g.shape, g.dataType, {
        exclusive: op.int(int('exclusive', 0)),
        reverse: op.int(1 - int('reverse', 0)),
      }),
  ],
  Neg: unary(({ g }) => op.neg(g)),
  Identity: unary(({ g }) => g),
  Abs: unary(({ g, input }) => mul(g, op.sign(input))),
  Sqrt: unary(({ g, y }) => div(g, op.times(y, 2))),
  Reciprocal: unary(({ g, y }) => op.neg(mul(g, mul(y, y)))),
  Exp: unary(({ g, y }) => mul(g, y)),
  Log: unary(({ g, input }) => div(g, input)),
  Erf: unary(({ g, input }) => mul(g, op.times(op.exp(op.neg(mul(input, input))), 2 / Math.sqrt(Math.PI)))),
  Floor: flat,
  Ceil: flat,
  Round: flat,
  Sign: flat,
  Hardmax: flat,
  // the quotient without its fraction, by truncation or by rounding down
  Mod: ({ x: [a, b], y, g }) => [() => g, () => op.neg(mul(g, op.make('Round', [div(sub(a!, y), b!)], y.shape)))],
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
  CastLike: ({ x: [x, like], g }) => [() => back(g, x!), () => op.zeros(like!.shape)],
  Cast: unary(({ g, input }) => back(g, input)),
};
