import { setImmediate as nextTurn } from 'node:timers/promises';
import { attribute, floatTensor, intTensor, makeNode, uniqueName } from '@modelmill/onnx';
import type { Graph, Model, Tensor } from '@modelmill/onnx';
import { addConstant } from '../add-constant.js';
import { changeConstants } from '../constant-of.js';
import type { OnLayer } from '../layer-progress.js';
import { gptqBlocks } from './gptq.js';
import { matrixLayers } from './matrix-layers.js';
import type { MatrixLayer } from './matrix-layers.js';
import type { KeepsFloats } from './quantization-plan.js';
import { blockCount, quantizeBlocks } from './weight-blocks.js';
import type { BlockForm, Blocks } from './weight-blocks.js';

export interface WeightOnlyOptions extends BlockForm {
  readonly method: 'nearest' | 'hqq' | 'gptq';
  /** What `gptq` knows of what a layer takes, [k, k]; wanted in the order of the layers. */
  readonly hessianOf?: (layer: MatrixLayer) => Promise<Float64Array>;
  readonly keepsFloats?: KeepsFloats | undefined;
  readonly onLayer: OnLayer;
}

const domain = 'com.microsoft';
/** Products are summed up in eight bits; ONNX Runtime without a level is far slower on the CPU. */
const eightBits = 4;

/**
 * Stores the constant matrices of MatMul and Gemm in few bits with a scale per block, in place; inputs and outputs stay
 * floats. Returns how many layers do: those of at least one whole block.
 */
export async function quantizeWeights(model: Model, options: WeightOnlyOptions): Promise<number> {
  const { onLayer } = options;
  const layers = layersInBlocks(model, options);
  const made = new Map<Tensor, Blocks>();
  for (const [i, layer] of layers.entries()) {
    await onLayer(layer.node.name, i, layers.length);
    if (!made.has(layer.weights)) made.set(layer.weights, await blocksOf(layer, options));
    await nextTurn();
  }
  if (layers.length > 0) writeBlocks(model, layers, made, options);
  return layers.length;
}

/** Replaces layers by MatMulNBits, in place, given the blocks of each of their weights. */
export function writeBlocks(
  model: Model,
  layers: readonly MatrixLayer[],
  blocks: ReadonlyMap<Tensor, Blocks>,
  form: BlockForm,
): void {
  changeConstants(model, () => {
    const stored = new Map<Tensor, string[]>();
    for (const layer of layers) {
      const { weights } = layer;
      const names = stored.get(weights) ?? storeBlocks(model.graph, layer, blocks.get(weights)!, form);
      stored.set(weights, names);
      replaceProduct(model.graph, layer, names, form);
    }
  });
  model.opsets.set(domain, 1);
}

/** Those of at least one whole block. */
export const layersInBlocks = (
  model: Model,
  { block, keepsFloats }: Pick<WeightOnlyOptions, 'block' | 'keepsFloats'>,
): MatrixLayer[] => matrixLayers(model, keepsFloats).filter(({ matrix }) => matrix.k >= block);

async function blocksOf(layer: MatrixLayer, options: WeightOnlyOptions): Promise<Blocks> {
  const { method, hessianOf } = options;
  if (method !== 'gptq') return quantizeBlocks(layer.matrix, options, method);
  if (!hessianOf) throw new Error('gptq wants Hessians');
  return gptqBlocks(layer.matrix, options, await hessianOf(layer));
}

function storeBlocks(graph: Graph, { weights, matrix }: MatrixLayer, blocks: Blocks, form: BlockForm): string[] {
  const { n, k } = matrix;
  const count = blockCount(k, form);
  const { packed, scales, zeroPoints } = blocks;
  const { name } = weights;
  const bytes = (form.block * form.bits) / 8;
  const names = [
    addConstant(graph, intTensor(`${name}_blocks`, 'uint8', [n, count, bytes], packed)),
    addConstant(graph, floatTensor(`${name}_scales`, [n, count], scales)),
  ];
  if (zeroPoints instanceof Float32Array) {
    names.push(addConstant(graph, floatTensor(`${name}_zero_points`, [n, count], zeroPoints)));
  } else if (zeroPoints) {
    const width = zeroPoints.length / n;
    names.push(addConstant(graph, intTensor(`${name}_zero_points`, 'uint8', [n, width], zeroPoints)));
  }
  return names;
}

function replaceProduct(graph: Graph, { node, matrix, bias }: MatrixLayer, blocks: string[], form: BlockForm): void {
  const [output] = node.outputs;
  const product = bias ? uniqueName(graph, `${output}_product`) : output!;
  const at = graph.nodes.indexOf(node);
  graph.nodes.splice(
    at,
    1,
    {
      ...makeNode('MatMulNBits', [node.inputs[0]!, ...blocks], [product], {
        K: attribute(matrix.k),
        N: attribute(matrix.n),
        bits: attribute(form.bits),
        block_size: attribute(form.block),
        accuracy_level: attribute(eightBits),
      }),
      name: node.name,
      domain,
    },
    ...(bias
      ? [
          makeNode(
            'Add',
            [product, addConstant(graph, floatTensor(`${bias.name}_row`, [matrix.n], bias.values))],
            [output!],
          ),
        ]
      : []),
  );
}
