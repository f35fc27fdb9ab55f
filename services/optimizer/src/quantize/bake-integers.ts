import { floatsOf, replaceInput } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { changeConstants } from '../constant-of.js';
import type { RoundedWeights } from './fake-quantize.js';
import { biasScales, quantizedWeights, roomForBias } from './quantized-numbers.js';
import { addBias, addWeights } from './quantize-static.js';
import { raiseOpset } from './raise-opset.js';

const mostInFourBits = 7;

/**
 * Stores what rounding made: integers in place of floats that are rounded, biases in 32 bits, in place. Answers stay those
 * of the rounded floats, but for the rounding of the biases.
 */
export function bakeIntegers(model: Model, rounded: readonly RoundedWeights[]): void {
  const { graph } = model;
  const isPacked = ({ limit }: RoundedWeights) => limit <= mostInFourBits;
  if (rounded.some(isPacked)) raiseOpset(model, 21);
  changeConstants(model, () => {
    for (const layer of rounded) {
      const { name, logScale, value, axis, limit, biases } = layer;
      const tensor = graph.initializers.get(name)!;
      const weights = { values: floatsOf(tensor), dims: tensor.dims, axis };
      const floats = biases.map((one) => ({ ...one, bias: floatsOf(graph.initializers.get(one.name)!) }));
      const exact = floatsOf(graph.initializers.get(logScale)!).map(Math.exp);
      const scales = floats.reduce<Float32Array>(
        (made, { bias, inputScale }) => roomForBias(bias, inputScale, made),
        exact,
      );
      const integers = quantizedWeights(weights, scales, limit);
      const stored = addWeights(graph, withoutSuffix(name), integers, scales, weights, isPacked(layer));
      replaceInput(graph, value, stored);
      for (const { name: of, bias, inputScale } of floats) {
        replaceInput(graph, of, addBias(graph, withoutSuffix(of), bias, biasScales(inputScale, scales)));
      }
    }
  });
}

const withoutSuffix = (name: string) => name.replace(/_float$/, '');
