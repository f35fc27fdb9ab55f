import { constantsOf } from './constants-of.js';
import { axisOf } from './gradient-rule.js';
import type { GradientRule } from './gradient-rule.js';
import * as op from './ops.js';
import { resizeGradient } from './resize-gradient.js';

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
  Tile: ({ operation, x: [x], g }) => [
    () => {
      const repeats = constantsOf(operation.inputs[1]);
      const apart = op.reshape(
        g,
        x!.shape.flatMap((length, axis) => [repeats[axis]!, length]),
      );
      return op.reduceSum(
        apart,
        repeats.map((_, axis) => 2 * axis),
        false,
      );
    },
  ],
  // turned around twice is as before
  ReverseSequence: ({ operation: { inputs, attributes }, g }) => [
    () => op.make('ReverseSequence', [g, inputs[1]], g.shape, g.dataType, Object.fromEntries(attributes)),
  ],
  DepthToSpace: ({ x: [x], g, int, word }) => [
    () => {
      const block = int('blocksize', 1);
      if (word('mode', 'DCR') === 'DCR') {
        return op.make('SpaceToDepth', [g], x!.shape, g.dataType, { blocksize: op.int(block) });
      }
      const [batch = 0, , height = 0, width = 0] = x!.shape;
      const apart = op.reshape(g, [batch, g.shape[1]!, height, block, width, block]);
      return op.reshape(op.transpose(apart, [0, 1, 3, 5, 2, 4]), x!.shape);
    },
  ],
  SpaceToDepth: ({ x: [x], g, int }) => [
    () => op.make('DepthToSpace', [g], x!.shape, g.dataType, { blocksize: op.int(int('blocksize', 1)) }),
  ],
  Resize: resizeGradient,
  Trilu: ({ operation, g }) => [
    () => op.make('Trilu', [g, operation.inputs[1]], g.shape, g.dataType, Object.fromEntries(operation.attributes)),
  ],
};
