import { elementCount } from '@modelmill/onnx';
import { intAttribute } from '../constant-of.js';
import type { QuantizedLayer } from './quantization-plan.js';

/** The mean of each input channel of each layer, by the value the layer takes. */
export interface ChannelMeans {
  /** Values of a shape, of which a Conv's channels are axis 1, and a matrix product's the last. */
  add(name: string, values: Float32Array, shape: readonly number[]): void;
  finish(): ReadonlyMap<string, Float64Array>;
}

export function createChannelMeans(layers: readonly QuantizedLayer[]): ChannelMeans {
  const isImage = new Map(layers.map(({ node }) => [node.inputs[0]!, node.opType === 'Conv']));
  const sums = new Map<string, { readonly sum: Float64Array; perChannel: number }>();
  return {
    add(name, values, shape) {
      const axis = isImage.get(name) ? 1 : shape.length - 1;
      const channels = shape[axis]!;
      const inner = elementCount(shape.slice(axis + 1));
      const found = sums.get(name) ?? { sum: new Float64Array(channels), perChannel: 0 };
      sums.set(name, found);
      for (let i = 0; i < values.length; i++) found.sum[Math.floor(i / inner) % channels]! += values[i]!;
      found.perChannel += values.length / channels;
    },
    finish: () => new Map([...sums].map(([name, { sum, perChannel }]) => [name, sum.map((one) => one / perChannel)])),
  };
}

/**
 * What rounding the weights takes from each output channel on the average: Σ (W − Ŵ)·E[x] (Nagel et al. 2019, Data-free
 * quantization, section 4.2). Borders that a convolution pads count as the rest.
 */
export function lostOnAverage(
  { node, axis }: QuantizedLayer,
  lost: Float32Array,
  dims: readonly number[],
  means: Float64Array,
): Float64Array {
  const outputs = dims[axis]!;
  const total = new Float64Array(outputs);
  const isConv = node.opType === 'Conv';
  const perOutput = outputs / intAttribute(node, 'group', 1);
  const inner = isConv ? elementCount(dims.slice(2)) : 1;
  const columns = dims[1]!;
  for (let i = 0; i < lost.length; i++) {
    const [row, column] = [Math.floor(i / inner / columns), Math.floor(i / inner) % columns];
    const output = axis === 0 ? row : column;
    const input = axis === 0 ? column + (isConv ? Math.floor(row / perOutput) * columns : 0) : row;
    total[output]! += lost[i]! * means[input]!;
  }
  return total;
}
