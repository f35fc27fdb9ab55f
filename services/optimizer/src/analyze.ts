import { optimizer as contract } from '@modelmill/contracts';
import type { optimizer } from '@modelmill/contracts';
import { ShapeError, elementCount, inferShapes } from '@modelmill/onnx';
import type { Model, Node, StaticType } from '@modelmill/onnx';
import { layerName } from './layer-names.js';
import { isQuantized, sum, weightedLayers } from './weighted-layers.js';
import type { WeightedLayer } from './weighted-layers.js';

type Types = ReadonlyMap<string, StaticType>;

/** What each layer weighs and computes, and what a pass could save. */
export function analyze(model: Model): optimizer.AnalyzeModelResponse {
  const found = weightedLayers(model);
  const types = typesOfOneExample(model);
  const all = sum(found.map(parametersOf));
  const layers = found.map((layer) => {
    const parameters = parametersOf(layer);
    return contract.LayerAnalysis.fromPartial({
      node: layerName(layer.node),
      opType: layer.node.opType,
      parameters: BigInt(parameters),
      share: all === 0 ? 0 : parameters / all,
      sparsity: parameters === 0 ? 0 : sum(layer.weights.map(({ zeros }) => zeros)) / parameters,
      multiplyAdds: BigInt(multiplyAdds(layer.node, types)),
    });
  });
  return contract.AnalyzeModelResponse.fromPartial({ layers, advice: adviceOn(model, found) });
}

/** Multiply-adds of the layers with weights, for one example. */
export function multiplyAddsOf(model: Model): number {
  const types = typesOfOneExample(model);
  return sum(model.graph.nodes.map((node) => multiplyAdds(node, types)));
}

const parametersOf = ({ weights }: WeightedLayer) => sum(weights.map(({ count }) => count));

/** Empty where a shape cannot be known. */
export function typesOfOneExample(model: Model): Types {
  const fixed = model.graph.inputs.flatMap(({ name, shape }) => {
    const sizes = (shape ?? []).map((size, axis) => (axis === 0 && typeof size !== 'number' ? 1 : size));
    return sizes.every((size): size is number => typeof size === 'number') ? [[name, sizes] as const] : [];
  });
  try {
    return inferShapes(model, new Map(fixed));
  } catch (error) {
    if (error instanceof ShapeError) return new Map();
    throw error;
  }
}

function multiplyAdds({ opType, inputs, outputs, attributes }: Node, types: Types): number {
  const [x, weight, y] = [inputs[0], inputs[1], outputs[0]].map((name) => types.get(name ?? '')?.shape);
  if (!x || !weight || !y) return 0;
  switch (opType) {
    case 'Conv':
      return elementCount(y) * elementCount(weight.slice(1));
    case 'ConvTranspose':
      return elementCount(x) * elementCount(weight.slice(1));
    case 'Gemm': {
      const transA = attributes.get('transA');
      const isTransposed = transA?.kind === 'int' && transA.value !== 0;
      return elementCount(y) * (x.at(isTransposed ? -2 : -1) ?? 1);
    }
    case 'MatMul':
      return elementCount(y) * (x.at(-1) ?? 1);
    case 'BatchNormalization':
    case 'InstanceNormalization':
    case 'GroupNormalization':
    case 'LayerNormalization':
    case 'PRelu':
      return elementCount(y);
    default:
      return 0;
  }
}

/** Bytes of a pruned weight that is kept: its value and its position. */
const keptBytes = 8;
const suggestedSparsity = 0.8;

function adviceOn(model: Model, layers: readonly WeightedLayer[]): string[] {
  const weights = [...new Map(layers.flatMap((layer) => layer.weights.map((one) => [one.name, one]))).values()];
  const all = sum(weights.map(({ count }) => count));
  if (all === 0) return ['No layer has weights: there is nothing to make smaller.'];
  if (isQuantized(model)) {
    return ['It is quantized already: to prune or distill, start from the version it was made from.'];
  }
  const matrices = weights.filter(({ isMatrix }) => isMatrix);
  const inMatrices = sum(matrices.map(({ count }) => count));
  const zeros = sum(matrices.map(({ zeros }) => zeros));
  const bytes = 4 * all;
  const advice: string[] = [];
  if (inMatrices > 0) {
    const after = bytes - 3 * inMatrices;
    advice.push(
      `quantize_static stores ${percent(inMatrices / all)} of the weights in 8 bits instead of 32: ` +
        `about ${kibibytes(bytes)} become ${kibibytes(after)}, and convolutions and matrix products get faster.`,
    );
  }
  if (inMatrices > 0 && zeros / inMatrices < suggestedSparsity) {
    const after = bytes - 4 * inMatrices + keptBytes * (1 - suggestedSparsity) * inMatrices;
    advice.push(
      `prune_magnitude to a sparsity of ${suggestedSparsity} takes about ${kibibytes(bytes)} to ${kibibytes(after)}; ` +
        'zeros save space, not time.',
    );
  } else if (zeros > 0) {
    advice.push(`${percent(zeros / inMatrices)} of the weights are zero already: more pruning will cost accuracy.`);
  }
  const largest = layers.reduce((a, b) => (parametersOf(b) > parametersOf(a) ? b : a));
  if (layers.length > 1 && parametersOf(largest) > all / 2) {
    advice.push(
      `${largest.node.name} holds ${percent(parametersOf(largest) / all)} of the weights: ` +
        'distill into a student that is narrower there.',
    );
  } else {
    advice.push('distill into a narrower student saves space and time; the weights are spread over many layers.');
  }
  return advice;
}

const percent = (share: number) => `${Math.round(100 * share)} %`;
const kibibytes = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`;
