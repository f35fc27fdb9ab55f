import { setImmediate as nextTurn } from 'node:timers/promises';
import { byteLength, consumersOf, floatsOf } from '@modelmill/onnx';
import type { Graph, Model, Tensor } from '@modelmill/onnx';
import type { OnLayer } from '../layer-progress.js';
import { changeConstants, intAttribute } from '../constant-of.js';
import { prunableWeights } from '../prune/prune-magnitude.js';
import { matrixLayers } from '../quantize/matrix-layers.js';
import { writeBlocks } from '../quantize/quantize-weights.js';
import { raiseOpset } from '../quantize/raise-opset.js';
import { blockCount, packBlocks } from '../quantize/weight-blocks.js';
import type { BlockForm, Blocks, Matrix } from '../quantize/weight-blocks.js';
import { addSignLookup, addSignTable } from './sign-tables.js';
import { signsOf } from './signs.js';
import type { Signs, SignValues } from './signs.js';

export interface SignOptions {
  readonly values: SignValues;
  /** The first and the last layer, too. */
  readonly allLayers: boolean;
  /** Matrices compute in 2 bits (MatMulNBits) instead of being looked up at load. */
  readonly blocks: boolean;
  readonly onLayer: OnLayer;
}

export interface SignsWritten {
  /** Weights that are looked up at load. */
  readonly tables: number;
  /** Layers that compute in 2 bits. */
  readonly blocks: number;
}

const smallest = 64; // below, a scale and its names take more than they save
/** ONNX Runtime has fast kernels of 2 bits for blocks of 32, 64 and 128. */
const form: BlockForm = { bits: 2, block: 64, symmetric: true };

/** Replaces kernels and matrices by their signs and a scale per output channel, in place. */
export async function quantizeSigns(
  model: Model,
  { values, allLayers, blocks, onLayer }: SignOptions,
): Promise<SignsWritten> {
  const { graph } = model;
  const all = prunableWeights(model);
  const names = (allLayers ? all : all.slice(1, -1)).filter((name) => lengthOf(graph, name) >= smallest);
  if (names.length === 0) return { tables: 0, blocks: 0 };
  raiseOpset(model);
  const chosen = new Set(names);
  const inBlocks = matrixLayers(model).filter(({ weights, matrix }) => blocks && chosen.has(weights.name) && matrix.k >= form.block); // prettier-ignore
  const packed = new Map<Tensor, Blocks>();
  const looked = new Map<string, Signs>();
  let done = 0;
  for (const { weights, matrix } of inBlocks) {
    if (packed.has(weights)) continue;
    await tell(weights.name);
    packed.set(weights, blocksOf(matrix, values));
  }
  const computed = new Set([...packed.keys()].map(({ name }) => name));
  for (const name of names.filter((one) => !computed.has(one))) {
    await tell(name);
    const tensor = graph.initializers.get(name)!;
    looked.set(name, signsOf({ values: floatsOf(tensor), dims: tensor.dims, axis: outputAxis(graph, tensor) }, values));
  }
  if (packed.size > 0) writeBlocks(model, inBlocks, packed, form);
  changeConstants(model, () => {
    if (looked.size === 0) return;
    const table = addSignTable(graph, values);
    for (const [name, signs] of looked) {
      const tensor = graph.initializers.get(name)!;
      const replaced = { name, dims: tensor.dims, axis: outputAxis(graph, tensor) };
      graph.initializers.delete(name);
      addSignLookup(graph, replaced, signs, { kind: values, table });
    }
  });
  return { tables: looked.size, blocks: inBlocks.length };

  async function tell(name: string): Promise<void> {
    await onLayer(name, done++, names.length);
    await nextTurn();
  }
}

const lengthOf = (graph: Graph, name: string) => byteLength(graph.initializers.get(name)!) / 4;

/** The axis of a weight that runs along the channels its layer gives. */
function outputAxis(graph: Graph, { name, dims }: Tensor): number {
  const [layer] = consumersOf(graph, name);
  switch (layer?.opType) {
    case 'Conv':
      return 0;
    case 'Gemm':
      return layer.inputs[1] === name ? 1 - intAttribute(layer, 'transB', 0) : intAttribute(layer, 'transA', 0);
    case 'MatMul':
      return layer.inputs[1] === name ? dims.length - 1 : dims.length - 2;
    default:
      return 1; // ConvTranspose
  }
}

function blocksOf({ values, k, n }: Matrix, kind: SignValues): Blocks {
  const { signs, scales } = signsOf({ values, dims: [k, n], axis: 1 }, kind);
  const blocks = blockCount(k, form);
  const middle = 2 ** (form.bits - 1);
  return packBlocks({ k, n }, form, {
    steps: Uint8Array.from(signs, (sign) => middle + sign),
    scales: Float32Array.from({ length: n * blocks }, (_, at) => scales[Math.floor(at / blocks)]!),
    zeros: new Float32Array(n * blocks).fill(middle),
  });
}
