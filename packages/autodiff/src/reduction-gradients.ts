import { constantsOf } from './constants-of.js';
import { axisOf, unary } from './gradient-rule.js';
import type { GradientQuestion, GradientRule } from './gradient-rule.js';
import * as op from './ops.js';
import { scalar, size } from './value.js';
import type { Operation, Value } from './value.js';

const { add, sub, mul, div, where } = op;
const zero = scalar(0);
const one = scalar(1);

type OfInput = GradientQuestion & { readonly input: Value };

/** Normalization and reduction. */
export const reductions: Readonly<Record<string, GradientRule>> = {
  LayerNormalization: ({ operation, x: [x, scale], y, g, all, columns, int }) => {
    const [, mean, inverse] = operation.outputs;
    const axis = axisOf(int('axis', -1), x!);
    const axes = op.axesOf(x!).filter((i) => i >= axis);
    // then nobody but the operator looks at x, and ONNX Runtime joins it with a sum before it: it gives both on the CPU alone
    const alone = columns && axis === x!.shape.length - 1;
    const plain = alone && operation.inputs[2] === undefined && isOne(scale!);
    const normalized = plain ? y : mul(sub(x!, mean!), inverse!);
    const scaled = plain ? g : mul(g, scale!);
    const centred = sub(scaled, op.reduceMean(scaled, axes, true));
    const count = size(x!.shape.slice(axis));
    const through = () =>
      mul(inverse!, sub(centred, mul(normalized, op.reduceMean(mul(scaled, normalized), axes, true))));
    // the mean and the inverse deviation may be used, too
    const [, toMean, toInverse] = all;
    const more = [
      ...(toMean ? [op.times(toMean, 1 / count)] : []),
      ...(toInverse ? [mul(op.times(mul(toInverse, mul(inverse!, inverse!)), -1 / count), normalized)] : []),
    ];
    return [() => more.reduce((sum, term) => op.add(sum, term), through()), () => mul(g, normalized), () => g];
  },

  ReduceSum: unary(({ g, input, y, operation }) => op.expand(kept(g, input, y, operation), input.shape)),
  ReduceMean: unary(({ g, input, y, operation }) =>
    op.expand(op.times(kept(g, input, y, operation), size(y.shape) / size(input.shape)), input.shape),
  ),
  ReduceSumSquare: unary(({ g, input, y, operation }) => mul(op.times(input, 2), kept(g, input, y, operation))),
  ReduceL1: unary(({ g, input, y, operation }) => mul(op.sign(input), kept(g, input, y, operation))),
  // where all are zero, zero
  ReduceL2: unary(({ g, input, y, operation }) => {
    const norm = kept(y, input, y, operation);
    return mul(input, div(kept(g, input, y, operation), where(op.greater(norm, zero), norm, one)));
  }),
  ReduceLogSum: unary(({ g, input, y, operation }) =>
    op.expand(kept(div(g, op.exp(y)), input, y, operation), input.shape),
  ),
  ReduceProd: unary(reducedProduct),
  ReduceLogSumExp: unary(({ g, input, y, operation }) =>
    mul(kept(g, input, y, operation), op.exp(sub(input, kept(y, input, y, operation)))),
  ),
  ReduceMax: unary(reducedExtreme),
  ReduceMin: unary(reducedExtreme),
};

const isOne = ({ source }: Value): boolean =>
  source.kind === 'constant' && Array.prototype.every.call(source.values, (value) => value === 1);

/** g goes to the elements that equal the extreme, in equal parts. */
function reducedExtreme({ g, input, y, operation }: OfInput): Value {
  const mask = op.indicator(op.equal(input, kept(y, input, y, operation)));
  const axes = reducedAxes(input, operation);
  return mul(mask, div(kept(g, input, y, operation), op.reduceSum(mask, axes, true)));
}

/** The product of the others: with one zero among them only that one has any, with two none has. */
function reducedProduct({ g, input, y, operation }: OfInput): Value {
  const axes = reducedAxes(input, operation);
  const zeros = op.indicator(op.equal(input, zero));
  const others = add(input, zeros);
  const count = sub(op.reduceSum(zeros, axes, true), zeros);
  const product = div(op.reduceBy('ReduceProd')(others, axes, true), others);
  return mul(kept(g, input, y, operation), where(op.equal(count, zero), product, zero));
}

function reducedAxes(input: Value, { inputs, attributes }: Operation): number[] {
  const named = constantsOf(inputs[1]);
  if (named.length > 0) return named.map((axis) => axisOf(axis, input));
  const noop = attributes.get('noop_with_empty_axes');
  return noop?.kind === 'int' && noop.value === 1 ? [] : op.axesOf(input);
}

/** A value of the reduced shape with the reduced axes put back as ones. */
function kept(value: Value, input: Value, y: Value, operation: Operation): Value {
  if (y.shape.length === input.shape.length) return value;
  const axes = reducedAxes(input, operation);
  return op.reshape(
    value,
    input.shape.map((length, axis) => (axes.includes(axis) ? 1 : length)),
  );
}
