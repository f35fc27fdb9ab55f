import { attribute, byteLength, floatTensor, floatsOf, intTensor, makeNode, uniqueName } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { addConstant } from '../add-constant.js';
import { changeConstants } from '../constant-of.js';
import { prunableWeights } from '../prune/prune-magnitude.js';
import { quantizedWeights, weightScales } from '../quantize/quantized-numbers.js';

const smallest = 256; // below, scales and names take more than the bytes save
const float32 = 1;

/**
 * Stores matrices and kernels as signed bytes with a scale for each position of their last axis (matrices) or first
 * (kernels), in place. They are read back by Cast and Mul, which ONNX Runtime folds at load; by DequantizeLinear it would
 * compute in eight bits without having been asked to. Returns how many are stored so.
 */
export function storeBytes(model: Model): number {
  const { graph } = model;
  const names = prunableWeights(model).filter((name) => {
    const tensor = graph.initializers.get(name);
    return tensor?.dataType === 'float' && byteLength(tensor) / 4 >= smallest;
  });
  changeConstants(model, () => {
    for (const name of names) {
      const { dims, ...tensor } = graph.initializers.get(name)!;
      const axis = dims.length === 2 ? 1 : 0;
      const channels = { values: floatsOf({ ...tensor, dims }), dims, axis };
      const scales = weightScales(channels);
      const shape = dims.map((size, i) => (i === axis ? size : 1));
      const wide = uniqueName(graph, `${name}_wide`);
      const bytes = addConstant(graph, intTensor(`${name}_bytes`, 'int8', dims, quantizedWeights(channels, scales)));
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
