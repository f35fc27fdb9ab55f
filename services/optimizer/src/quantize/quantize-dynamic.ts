import { attribute, floatTensor, intTensor, makeNode, uniqueName } from '@modelmill/onnx';
import type { Graph, Model, Node, Tensor } from '@modelmill/onnx';
import { addConstant } from '../add-constant.js';
import { changeConstants } from '../constant-of.js';
import type { OnLayer } from '../layer-progress.js';
import { matrixLayers } from './matrix-layers.js';
import type { MatrixLayer } from './matrix-layers.js';
import type { KeepsFloats } from './quantization-plan.js';
import { quantizedWeights, weightScales } from './quantized-numbers.js';
import { raiseOpset } from './raise-opset.js';

const float32 = 1;

export interface DynamicOptions {
  /** Weights in 7 bits. */
  readonly reduced?: boolean;
  readonly keepsFloats?: KeepsFloats;
  readonly onLayer?: OnLayer;
}

/**
 * Multiplies by constant matrices in eight bits, in place: signed weights with a scale per column, unsigned activations
 * whose range is taken anew from every input, so that nothing has to be calibrated. Convolutions stay as they are: ONNX
 * Runtime runs them in this form many times slower. Reduced, weights have
 * 7 bits. Returns how many layers it changed.
 */
export function quantizeDynamic(model: Model, options: DynamicOptions = {}): number {
  const { reduced = false, keepsFloats, onLayer } = options;
  const layers = matrixLayers(model, keepsFloats);
  if (layers.length === 0) return 0;
  raiseOpset(model);
  changeConstants(model, () => {
    const activations = new Map<string, Activation>();
    const matrices = new Map<Tensor, StoredMatrix>();
    for (const [i, layer] of layers.entries()) {
      void onLayer?.(layer.node.name, i, layers.length);
      const stored = matrices.get(layer.weights) ?? storeMatrix(model.graph, layer, reduced);
      matrices.set(layer.weights, stored);
      replaceProduct(model.graph, layer, stored, activations);
    }
  });
  return layers.length;
}

/** Names of a value in eight bits. */
interface Activation {
  readonly quantized: string;
  readonly scale: string;
  readonly zeroPoint: string;
}

interface StoredMatrix {
  readonly quantized: string;
  readonly zeroPoint: string;
  readonly scale: string;
}

function storeMatrix(graph: Graph, { weights, matrix: { values, k, n } }: MatrixLayer, reduced: boolean): StoredMatrix {
  const channels = { values, dims: [k, n], axis: 1 };
  const scales = weightScales(channels, reduced);
  const { name } = weights;
  return {
    quantized: addConstant(graph, intTensor(`${name}_quantized`, 'int8', [k, n], quantizedWeights(channels, scales))),
    zeroPoint: addConstant(graph, intTensor(`${name}_zero_point`, 'int8', [n], new Int8Array(n))),
    scale: addConstant(graph, floatTensor(`${name}_scale`, [n], scales)),
  };
}

function replaceProduct(
  graph: Graph,
  { node, matrix, bias }: MatrixLayer,
  stored: StoredMatrix,
  activations: Map<string, Activation>,
): void {
  const [input] = node.inputs as [string];
  const [output] = node.outputs as [string];
  const part = (name: string) => uniqueName(graph, `${output}_${name}`);
  const added: Node[] = [];
  let activation = activations.get(input);
  if (!activation) {
    const [quantized, scale, zeroPoint] = ['quantized', 'scale', 'zero_point'].map((of) =>
      uniqueName(graph, `${input}_${of}`),
    ) as [string, string, string];
    activation = { quantized, scale, zeroPoint };
    activations.set(input, activation);
    added.push(makeNode('DynamicQuantizeLinear', [input], [quantized, scale, zeroPoint]));
  }
  const [whole, floats, scales] = [part('integers'), part('floats'), part('scales')];
  const product = bias ? part('product') : output;
  const { quantized, scale, zeroPoint } = activation;
  added.push(
    makeNode('MatMulInteger', [quantized, stored.quantized, zeroPoint, stored.zeroPoint], [whole], {}, node.name),
    makeNode('Cast', [whole], [floats], { to: attribute(float32) }),
    makeNode('Mul', [scale, stored.scale], [scales]),
    makeNode('Mul', [floats, scales], [product]),
  );
  if (bias) {
    const row = addConstant(graph, floatTensor(`${bias.name}_row`, [matrix.n], bias.values));
    added.push(makeNode('Add', [product, row], [output]));
  }
  graph.nodes.splice(graph.nodes.indexOf(node), 1, ...added);
}
