import { convolutionInput, convolutionWeight } from './convolution-gradients.js';
import { UnsupportedOpError } from './errors.js';
import type { GradientRule } from './gradient-rule.js';
import * as op from './ops.js';
import { averagePoolInput, maxPoolInput } from './pooling-gradients.js';
import { scalar, size } from './value.js';
import type { Shape } from './value.js';
import { windowsOf } from './windows.js';

const { where } = op;
const zero = scalar(0);

/** Convolution and pooling. */
export const windowRules: Readonly<Record<string, GradientRule>> = {
  Conv: ({ operation, x: [x, weight], g }) => {
    const windows = windowsOf(operation, x!.shape, weight!.shape.slice(2));
    return [
      () => convolutionInput(g, weight!, x!.shape, windows),
      () => convolutionWeight(g, x!, weight!.shape, windows),
      () => op.reduceSum(g, allButChannels(g.shape), false),
    ];
  },

  ConvTranspose: ({ operation, x: [x, weight], y, g }) => {
    if (operation.attributes.has('output_shape')) {
      throw new UnsupportedOpError('ConvTranspose', operation.node, 'has no gradient for a stated output_shape');
    }
    // it is the gradient of a convolution of y, so its own is that convolution
    const windows = windowsOf(operation, y.shape, weight!.shape.slice(2));
    const { kernel, strides, dilations, before, after, groups } = windows;
    return [
      () =>
        op.make('Conv', [g, weight], x!.shape, g.dataType, {
          kernel_shape: op.intList(kernel),
          strides: op.intList(strides),
          dilations: op.intList(dilations),
          pads: op.intList([...before, ...after]),
          group: op.int(groups),
        }),
      () => convolutionWeight(x!, g, weight!.shape, windows),
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
  GlobalMaxPool: ({ x: [x], y, g }) => [() => where(op.equal(x!, y), g, zero)],
};

const allButChannels = (shape: Shape): number[] => [...shape.keys()].filter((axis) => axis !== 1);
