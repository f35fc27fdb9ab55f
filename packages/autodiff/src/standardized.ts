import * as op from './ops.js';
import type { Reading } from './reading.js';
import { constant, scalar, size } from './value.js';
import type { Value } from './value.js';

const { add, sub, mul, div } = op;

/**
 * x over its deviation along some axes, around the mean or around zero; `inverseOf` gives one over the deviation from the
 * mean square. The gradient is the closed form (Ba et al. 2016, Zhang and Sennrich 2019).
 */
function standardized(x: Value, axes: readonly number[], centres: boolean, inverseOf: (square: Value) => Value): Value {
  const centred = centres ? sub(x, op.reduceMean(x, axes, true)) : x;
  const inverse = inverseOf(op.reduceMean(mul(centred, centred), axes, true));
  const result = mul(centred, inverse);
  result.shortcut = {
    operands: [x],
    gradients: (g) => [
      () => {
        const across = centres ? sub(g, op.reduceMean(g, axes, true)) : g;
        return mul(inverse, sub(across, mul(result, op.reduceMean(mul(g, result), axes, true))));
      },
    ],
  };
  return result;
}

const inverseRoot =
  ({ float }: Reading) =>
  (square: Value): Value =>
    op.reciprocal(op.sqrt(add(square, scalar(float('epsilon', 1e-5)))));

export function rmsNormalization(reading: Reading): Value {
  const [x, scale] = reading.x;
  const axes = op.axesOf(x!).slice(reading.int('axis', -1));
  return mul(standardized(x!, axes, false, inverseRoot(reading)), scale!);
}

export function meanVarianceNormalization({ node, x: [x] }: Reading): Value {
  const stated = node.attributes.get('axes');
  const axes =
    stated?.kind === 'ints' ? stated.value.map((axis) => (axis < 0 ? axis + x!.shape.length : axis)) : [0, 2, 3];
  return standardized(x!, axes, true, (square) => op.reciprocal(add(op.sqrt(square), scalar(1e-9))));
}

/** Over the channels of a group; scale and bias are per channel, or per group as operator set 18 has them. */
export function groupNormalization(reading: Reading): Value {
  const [x, scale, bias] = reading.x;
  const [n = 1, channels = 1, ...rest] = x!.shape;
  const groups = reading.int('num_groups', 1);
  const grouped = op.reshape(x!, [n, groups, size(x!.shape) / (n * groups)]);
  const normalized = standardized(grouped, [2], true, inverseRoot(reading));
  if (reading.opset < 21 && size(scale!.shape) === groups) {
    const perGroup = (v: Value) => op.reshape(v, [groups, 1]);
    return op.reshape(add(mul(normalized, perGroup(scale!)), perGroup(bias!)), x!.shape);
  }
  const perChannel = (v: Value) => op.reshape(v, [channels, ...rest.map(() => 1)]);
  return add(mul(op.reshape(normalized, x!.shape), perChannel(scale!)), perChannel(bias!));
}

/** Each channel over what it and its neighbours have at the same place (Krizhevsky et al. 2012). */
export function localResponseNormalization({ x: [x], int, float }: Reading): Value {
  const [n = 1, channels = 1, ...rest] = x!.shape;
  const width = int('size', 1);
  const before = Math.floor((width - 1) / 2);
  const near = (from: number, to: number) => Number(to >= from - before && to < from - before + width);
  const sums = op.matMul(
    constant(
      Array.from({ length: channels * channels }, (_, i) => near(Math.floor(i / channels), i % channels)),
      [channels, channels],
    ),
    op.reshape(mul(x!, x!), [n, channels, size(rest)]),
  );
  const scaled = add(op.times(op.reshape(sums, x!.shape), float('alpha', 1e-4) / width), scalar(float('bias', 1)));
  return mul(x!, op.pow(scaled, scalar(-float('beta', 0.75))));
}

/** Along an axis over the sum or the Euclidean norm; zeros stay. */
export function lpNormalization({ x: [x], int }: Reading): Value {
  const axis = int('axis', -1);
  const axes = [axis < 0 ? axis + x!.shape.length : axis];
  const norm = op.reduceBy(int('p', 2) === 1 ? 'ReduceL1' : 'ReduceL2')(x!, axes, true);
  return div(x!, op.where(op.greater(norm, scalar(0)), norm, scalar(1)));
}
