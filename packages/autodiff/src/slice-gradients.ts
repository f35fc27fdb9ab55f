import { constantsOf } from './constants-of.js';
import { axisOf } from './gradient-rule.js';
import type { GradientRule } from './gradient-rule.js';
import { scatterAlong } from './indexing-gradients.js';
import * as op from './ops.js';
import { constant, ints } from './value.js';
import type { Operation, Value } from './value.js';

/** Parts of a value, and values with more around them. */
export const slices: Readonly<Record<string, GradientRule>> = {
  Slice: ({ operation, x: [x], y, g }) => [() => sliceInput(operation, x!, y, g)],
  Pad: ({ operation, x: [x], g, word }) => {
    const [before, after] = padsOf(operation.inputs, x!);
    const mode = word('mode', 'constant');
    if (mode !== 'constant') return [() => unfolded(g, x!, before, mode)];
    const cropped = () =>
      op.pad(
        g,
        before.map((count) => -count),
        after.map((count) => -count),
      );
    return [
      cropped,
      undefined,
      () => {
        const within = op.pad(op.expand(op.zeros([]), x!.shape), before, after, constant([1], []));
        return op.reshape(op.sum(op.mul(g, within)), operation.inputs[2]!.shape);
      },
    ];
  },
};

/** Elements added before and after every axis. */
export function padsOf(inputs: Operation['inputs'], x: Value): [number[], number[]] {
  const pads = constantsOf(inputs[1]);
  const axes = inputs[3] ? constantsOf(inputs[3]).map((axis) => axisOf(axis, x)) : op.axesOf(x);
  const side = (from: number) =>
    op.axesOf(x).map((axis) => (axes.includes(axis) ? pads[from + axes.indexOf(axis)]! : 0));
  return [side(0), side(axes.length)];
}

/** Every element that was repeated in the padding gets the gradients of all its copies, axis by axis. */
function unfolded(g: Value, x: Value, before: readonly number[], mode: string): Value {
  return op.axesOf(x).reduce((sum, axis) => {
    const length = x.shape[axis]!;
    const count = sum.shape[axis]!;
    if (count === length && before[axis] === 0) return sum;
    const from = Array.from({ length: count }, (_, i) => sourceOf(i - before[axis]!, length, mode));
    return scatterAlong(sum, ints(from), axis, length);
  }, g);
}

/** The element that a place before, within or after an axis repeats. */
export function sourceOf(place: number, length: number, mode: string): number {
  if (mode === 'edge') return Math.min(Math.max(place, 0), length - 1);
  const round = mode === 'wrap' ? length : Math.max(1, 2 * (length - 1));
  const there = ((place % round) + round) % round;
  return there < length ? there : round - there;
}

/** Zeros where the slice did not reach; steps other than 1 scatter. */
function sliceInput({ inputs }: Operation, x: Value, y: Value, g: Value): Value {
  const starts = constantsOf(inputs[1]);
  const axes = inputs[3] ? constantsOf(inputs[3]).map((axis) => axisOf(axis, x)) : [...starts.keys()];
  const steps = inputs[4] ? constantsOf(inputs[4]) : starts.map(() => 1);
  const first = axes.map((axis, i) => {
    const length = x.shape[axis]!;
    const start = starts[i]! < 0 ? starts[i]! + length : starts[i]!;
    return Math.min(Math.max(start, 0), steps[i]! > 0 ? length : length - 1);
  });
  if (steps.every((step) => step === 1)) {
    const before = x.shape.map(() => 0);
    axes.forEach((axis, i) => (before[axis] = first[i]!));
    return op.pad(
      g,
      before,
      x.shape.map((length, axis) => length - y.shape[axis]! - before[axis]!),
    );
  }
  let scattered = g;
  axes.forEach((axis, i) => {
    const shape = scattered.shape.map((length, at) => (at === axis ? x.shape[axis]! : length));
    const at = Array.from({ length: y.shape[axis]! }, (_, k) => first[i]! + k * steps[i]!);
    const along = constant(
      at,
      scattered.shape.map((_, a) => (a === axis ? at.length : 1)),
      'int64',
    );
    scattered = op.make(
      'ScatterElements',
      [op.zeros(shape), op.expand(along, scattered.shape), scattered],
      shape,
      g.dataType,
      {
        axis: op.int(axis),
      },
    );
  });
  return scattered;
}
