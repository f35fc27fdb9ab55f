import { floatTensor, floatsOf } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { weightedLayers } from '../weighted-layers.js';

/** Names of the float weights of convolutions and matrix products, each once, in graph order. Biases stay dense. */
export function prunableWeights(model: Model): string[] {
  const matrices = weightedLayers(model).flatMap(({ weights }) => weights.filter(({ isMatrix }) => isMatrix));
  const floats = matrices.filter(({ name }) => model.graph.initializers.get(name)?.dataType === 'float');
  return [...new Set(floats.map(({ name }) => name))];
}

/**
 * Makes the smallest weights of all prunable layers together zero, in place: the mask keeps max(⌊n(1 − s)⌋, 1) of
 * n weights (Zhu and Gupta 2017). Of equal magnitudes the earlier in the graph go first, so the count is exact.
 */
export function pruneMagnitude(model: Model, sparsity: number): void {
  const weights = prunableWeights(model).map((name) => {
    const tensor = model.graph.initializers.get(name)!;
    return { name, dims: tensor.dims, values: floatsOf(tensor) };
  });
  const count = weights.reduce((total, { values }) => total + values.length, 0);
  const zeros = count - Math.max(Math.floor(count * (1 - sparsity)), 1);
  if (zeros <= 0) return;

  const magnitudes = new Float32Array(count);
  let offset = 0;
  for (const { values } of weights) {
    for (const value of values) magnitudes[offset++] = Math.abs(value);
  }
  magnitudes.sort();
  const threshold = magnitudes[zeros - 1]!;
  let atThreshold = zeros - magnitudes.indexOf(threshold);
  for (const { name, dims, values } of weights) {
    for (let i = 0; i < values.length; i++) {
      const magnitude = Math.abs(values[i]!);
      if (magnitude < threshold || (magnitude === threshold && atThreshold-- > 0)) values[i] = 0;
    }
    model.graph.initializers.set(name, floatTensor(name, dims, values));
  }
}
