import { floatsOf, zeroSmallest } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { weightedLayers } from '../weighted-layers.js';

/** Weights that are held against each other, and the share of them that becomes zero. */
export interface PruningGroup {
  readonly weights: readonly string[];
  readonly sparsity: number;
}

/** Names of the float weights of convolutions and matrix products, each once, in graph order. Biases stay dense. */
export function prunableWeights(model: Model): string[] {
  const matrices = weightedLayers(model).flatMap(({ weights }) => weights.filter(({ isMatrix }) => isMatrix));
  const floats = matrices.filter(({ name }) => model.graph.initializers.get(name)?.dataType === 'float');
  return [...new Set(floats.map(({ name }) => name))];
}

/** Makes the smallest weights of each group zero, in place. Of equal magnitudes the earlier in the graph go first. */
export function pruneMagnitude({ graph }: Model, groups: readonly PruningGroup[]): void {
  for (const { weights, sparsity } of groups) {
    const tensors = weights.map((name) => graph.initializers.get(name)!);
    const values = tensors.map(floatsOf);
    zeroSmallest(values, sparsity);
    tensors.forEach(({ name, dims }, i) => {
      const bytes = new Uint8Array(values[i]!.buffer); // no copy: there may be as much as the model has
      graph.initializers.set(name, { name, dataType: 'float', dims, bytes });
    });
  }
}
