import { constantsOf } from './constants-of.js';
import { UnsupportedOpError } from './errors.js';
import { axisOf } from './gradient-rule.js';
import type { GradientRule } from './gradient-rule.js';
import * as op from './ops.js';
import { arrangementGradients } from './indexing-gradients.js';
import { resizeGradient } from './resize-gradient.js';
import { constant } from './value.js';
import type { Operation, Value } from './value.js';

/** Same elements in another arrangement. */
const rearranged: GradientRule = ({ x: [x], g }) => [() => op.reshape(g, x!.shape)];

/** Operators that only move elements. */
export const movements: Readonly<Record<string, GradientRule>> = {
  Reshape: rearranged,
  Flatten: rearranged,
  Squeeze: rearranged,
  Unsqueeze: rearranged,
  Expand: ({ g }) => [() => g],
  Transpose: ({ x: [x], g, list }) => {
    const perm = list('perm') ?? [...x!.shape.keys()].reverse();
    return [
      () =>
        op.transpose(
          g,
          [...perm.keys()].sort((a, b) => perm[a]! - perm[b]!),
        ),
    ];
  },
  Concat: ({ x, g, int }) => {
    const axis = axisOf(int('axis', 0), g);
    let start = 0;
    return x.map(({ shape }) => {
      const range = { axis, start, end: start + shape[axis]!, step: 1 };
      start = range.end;
      return () => op.slice(g, [range]);
    });
  },
  Split: ({ operation, x: [x], all, int }) => [
    () =>
      op.concat(
        operation.outputs.map(({ shape }, i) => all[i] ?? op.zeros(shape)),
        axisOf(int('axis', 0), x!),
      ),
  ],
  Slice: ({ operation, x: [x], y, g }) => [() => sliceInput(operation, x!, y, g)],
  Pad: ({ operation, x: [x], g, word }) => [
    () => {
      const mode = word('mode', 'constant');
      if (mode !== 'constant') {
        throw new UnsupportedOpError('Pad', operation.node, `has no gradient for mode '${mode}'`);
      }
      const rank = x!.shape.length;
      const stated = constantsOf(operation.inputs[1]);
      const axes = operation.inputs[3]
        ? constantsOf(operation.inputs[3]).map((axis) => axisOf(axis, x!))
        : op.axesOf(x!);
      const pads = Array<number>(2 * rank).fill(0);
      axes.forEach((axis, i) => {
        pads[axis] = stated[i]!;
        pads[rank + axis] = stated[axes.length + i]!;
      });
      return op.pad(
        g,
        pads.slice(0, rank).map((count) => -count),
        pads.slice(rank).map((count) => -count),
      );
    },
  ],
  ...arrangementGradients,
  Resize: resizeGradient,
  Trilu: ({ operation, g }) => [
    () => op.make('Trilu', [g, operation.inputs[1]], g.shape, g.dataType, Object.fromEntries(operation.attributes)),
  ],
};

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
