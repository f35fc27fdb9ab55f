import { convolutionInput, convolutionWeight } from './convolution-gradients.js';
import type { GradientRule } from './gradient-rule.js';
import * as op from './ops.js';
import { averagePoolInput, maxPoolInput, windowSums } from './pooling-gradients.js';
import { scalar, size } from './value.js';
import type { Shape, Value } from './value.js';
import { transposedInput, transposedWindows } from './transposed-convolution.js';
import { windowsOf } from './windows.js';

const { mul, div, where } = op;
const zero = scalar(0);

/** Convolution and pooling. */
export const windowRules: Readonly<Record<string, GradientRule>> = {
  Conv: ({ operation, x: [x, weight], g, columns }) => {
    const windows = windowsOf(operation, x!.shape, weight!.shape.slice(2));
    return [
      () => convolutionInput(g, weight!, x!.shape, windows, columns),
      () => convolutionWeight(g, x!, weight!.shape, windows, columns),
      () => op.reduceSum(g, allButChannels(g.shape), false),
    ];
  },
  ConvTranspose: ({ operation, x: [x, weight], y, g, columns }) => {
    const windows = transposedWindows(operation, x!.shape, weight!.shape.slice(2), y.shape);
    return [
      () => transposedInput(g, weight!, x!.shape, windows),
      // a convolution with input and output exchanged
      () => convolutionWeight(x!, g, weight!.shape, windows, columns),
      () => op.reduceSum(g, allButChannels(g.shape), false),
    ];
  },
  MaxPool: ({ operation, x: [x], g }) => [
    () => maxPoolInput(g, operation.outputs[1]!, x!.shape, windowsOf(operation, x!.shape)),
  ],
  AveragePool: ({ operation, x: [x], g, int }) => [
    () => averagePoolInput(g, x!.shape, windowsOf(operation, x!.shape), int('count_include_pad', 0) !== 0),
  ],
  GlobalAveragePool: ({ x: [x], g }) => [() => op.expand(op.times(g, 1 / size(x!.shape.slice(2))), x!.shape)],
  GlobalMaxPool: ({ x: [x], y, g }) => [
    () => {
      const mask = op.indicator(op.equal(x!, y));
      const axes = op.axesOf(x!).slice(2);
      return mul(mask, div(g, op.reduceSum(mask, axes, true)));
    },
  ],
  MaxUnpool: ({ x: [x, indices], g }) => [
    () => {
      const flat = (v: Value) => op.reshape(v, [size(v.shape)]);
      const found = op.make('GatherElements', [flat(g), flat(indices!)], [size(x!.shape)], g.dataType);
      return op.reshape(found, x!.shape);
    },
  ],
  LpPool: ({ operation, x: [x], y, g, int }) => [
    () => {
      const power = int('p', 2);
      const sums = windowSums(perNorm(g, y, power), x!.shape, windowsOf(operation, x!.shape));
      return mul(sums, signedPower(x!, power - 1));
    },
  ],
  GlobalLpPool: ({ x: [x], y, g, int }) => [() => mul(perNorm(g, y, int('p', 2)), signedPower(x!, int('p', 2) - 1))],
};

const allButChannels = (shape: Shape): number[] => [...shape.keys()].filter((axis) => axis !== 1);

/** g · y^(1 − p); where the norm is zero, all under it are. */
const perNorm = (g: Value, y: Value, power: number): Value =>
  power === 1 ? g : div(g, op.pow(where(op.greater(y, zero), y, scalar(1)), scalar(power - 1)));

const signedPower = (x: Value, power: number): Value =>
  power === 1 ? x : mul(op.sign(x), op.pow(op.abs(x), scalar(power)));
