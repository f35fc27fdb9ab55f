import { constantsOf } from './constants-of.js';
import { axisOf, unary } from './gradient-rule.js';
import type { GradientQuestion, GradientRule } from './gradient-rule.js';
import * as op from './ops.js';
import { scalar, size } from './value.js';
import type { Operation, Value } from './value.js';

const { sub, mul, div, where } = op;
const zero = scalar(0);

/** Normalization and reduction. */
export const reductions: Readonly<Record<string, GradientRule>> = {
  LayerNormalization: ({ operation, x: [x, scale], g, int }) => {
    const [, mean, inverse] = operation.outputs;
    const axis = axisOf(int('axis', -1), x!);
    const axes = op.axesOf(x!).filter((i) => i >= axis);
    const normalized = mul(sub(x!, mean!), inverse!);
    const scaled = mul(g, scale!);
    const centred = sub(scaled, op.reduceMean(scaled, axes, true));
    return [
      () => mul(inverse!, sub(centred, mul(normalized, op.reduceMean(mul(scaled, normalized), axes, true)))),
      () => mul(g, normalized),
      () => g,
    ];
  },

  ReduceSum: unary(({ g, input, y, operation }) => op.expand(kept(g, input, y, operation), input.shape)),
  ReduceMean: unary(({ g, input, y, operation }) =>
    op.expand(op.times(kept(g, input, y, operation), size(y.shape) / size(input.shape)), input.shape),
  ),
  ReduceSumSquare: unary(({ g, input, y, operation }) => mul(op.times(input, 2), kept(g, input, y, operation))),
  ReduceL1: unary(({ g, input, y, operation }) => mul(op.sign(input), kept(g, input, y, operation))),
  ReduceLogSum: unary(({ g, input, y, operation }) =>
    op.expand(div(kept(g, input, y, operation), op.exp(kept(y, input, y, operation))), input.shape),
  ),
  ReduceL2: unary(({ g, input, y, operation }) =>
    mul(input, div(kept(g, input, y, operation), kept(y, input, y, operation))),
  ),
  ReduceLogSumExp: unary(({ g, input, y, operation }) =>
    mul(kept(g, input, y, operation), op.exp(sub(input, kept(y, input, y, operation)))),
  ),
  ReduceMax: unary(reducedExtreme),
  ReduceMin: unary(reducedExtreme),
};

function reducedExtreme({ g, input, y, operation }: GradientQuestion & { readonly input: Value }): Value {
  return where(op.equal(input, kept(y, input, y, operation)), kept(g, input, y, operation), zero);
}

/** A value of the reduced shape with the reduced axes put back as ones. */
function kept(value: Value, input: Value, y: Value, { inputs, attributes }: Operation): Value {
  if (y.shape.length === input.shape.length) return value;
  const keepdims = attributes.get('keepdims');
  if (keepdims?.kind !== 'int' || keepdims.value !== 0) return value;
  const axes = inputs[1] ? constantsOf(inputs[1]).map((axis) => axisOf(axis, input)) : op.axesOf(input);
  return op.reshape(
    value,
    input.shape.map((length, axis) => (axes.includes(axis) ? 1 : length)),
  );
}
