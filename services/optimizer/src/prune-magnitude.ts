import { floatTensor, floatsOf } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';

const weightInput: Readonly<Record<string, number>> = { Conv: 1, ConvTranspose: 1, Gemm: 1, MatMul: 1 };

/** Names of the float weights of convolutions and matrix products, each once, in graph order. Biases stay dense. */
export function prunableWeights({ graph }: Model): string[] {
  const names = graph.nodes.flatMap(({ opType, inputs }) => {
    const index = weightInput[opType];
    const name = index === undefined ? undefined : inputs[index];
    const tensor = name === undefined ? undefined : graph.initializers.get(name);
    return tensor?.dataType === 'float' && tensor.dims.length >= 2 ? [tensor.name] : [];
  });
  return [...new Set(names)];
}

/**
 * Makes the smallest weights of all prunable layers together zero, in place: the mask keeps max(round(n(1 − s)), 1) of
 * n weights (Zhu and Gupta 2017). Of equal magnitudes the earlier in the graph go first, so the count is exact.
 */
export function pruneMagnitude(model: Model, sparsity: number): void {
  const weights = prunableWeights(model).map((name) => {
    const tensor = model.graph.initializers.get(name)!;
    return { name, dims: tensor.dims, values: Float32Array.from(floatsOf(tensor)) };
  });
  const count = weights.reduce((sum, { values }) => sum + values.length, 0);
  const zeros = count - Math.max(Math.round(count * (1 - sparsity)), 1);
  if (zeros <= 0) return;

  const magnitudes = new Float32Array(count);
  let offset = 0;
  for (const { values } of weights) {
    for (const value of values) magnitudes[offset++] = Math.abs(value);
  }
  const threshold = magnitudes.slice().sort()[zeros - 1]!;
  let atThreshold = zeros - magnitudes.reduce((below, magnitude) => below + Number(magnitude < threshold), 0);
  for (const { name, dims, values } of weights) {
    for (let i = 0; i < values.length; i++) {
      const magnitude = Math.abs(values[i]!);
      if (magnitude < threshold || (magnitude === threshold && atThreshold-- > 0)) values[i] = 0;
    }
    model.graph.initializers.set(name, floatTensor(name, dims, values));
  }
}

/** Zeros among the prunable weights, from 0 to 1; sparse initializers count what they leave out. */
export function measureSparsity(model: Model): { sparsity: number; weights: number } {
  let zeros = 0;
  let weights = 0;
  for (const name of prunableWeights(model)) {
    const values = floatsOf(model.graph.initializers.get(name)!);
    weights += values.length;
    for (const value of values) zeros += Number(value === 0);
  }
  return { sparsity: weights === 0 ? 0 : zeros / weights, weights };
}
