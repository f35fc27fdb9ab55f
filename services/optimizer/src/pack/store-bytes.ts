import { attribute, byteLength, computedTensor, floatTensor, floatsOf, makeNode, uniqueName } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { addConstant } from '../add-constant.js';
import { changeConstants } from '../constant-of.js';
import type { OnLayer } from '../layer-progress.js';
import { prunableWeights } from '../prune/prune-magnitude.js';
import { quantizedWeights, weightScales } from '../quantize/quantized-numbers.js';

const smallest = 256; // below, scales and names take more than the bytes save
const float32 = 1;

/**
 * Stores matrices and kernels as signed bytes with a scale for each position of their last axis (matrices) or first
 * (kernels), in place. They are read back by Cast and Mul, which ONNX Runtime folds at load; by DequantizeLinear it would
 * compute in eight bits without having been asked to. Returns how many are stored so.
 */
export function storeBytes(model: Model, onLayer?: OnLayer): number {
  const { graph } = model;
  const names = prunableWeights(model).filter((name) => {
    const tensor = graph.initializers.get(name);
    return tensor?.dataType === 'float' && byteLength(tensor) / 4 >= smallest;
  });
  changeConstants(model, () => {
    for (const [i, name] of names.entries()) {
      void onLayer?.(name, i, names.length);
      const tensor = graph.initializers.get(name)!;
      const { dims } = tensor;
      const axis = dims.length === 2 ? 1 : 0;
      const channels = () => ({ values: floatsOf(tensor), dims, axis });
      const scales = weightScales(channels());
      const stored = computedTensor(
        { name: `${name}_bytes`, dataType: 'int8', dims },
        () => new Uint8Array(quantizedWeights(channels(), scales).buffer),
      );
      const shape = dims.map((size, i) => (i === axis ? size : 1));
      const wide = uniqueName(graph, `${name}_wide`);
      const bytes = addConstant(graph, stored);
      const scale = addConstant(graph, floatTensor(`${name}_scale`, shape, scales));
      graph.initializers.delete(name);
      graph.nodes.unshift(
        makeNode('Cast', [bytes], [wide], { to: attribute(float32) }),
        makeNode('Mul', [wide, scale], [name]),
      );
    }
  });
  return names.length;
}
