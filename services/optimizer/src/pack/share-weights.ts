import { byteLength, floatTensor, floatsOf, makeNode, attribute, uniqueName } from '@modelmill/onnx';
import type { Model, Tensor } from '@modelmill/onnx';
import { addConstant } from '../add-constant.js';
import { cluster } from './cluster.js';
import type { ClusterStart } from './cluster.js';
import { expectFinite } from './expect-finite.js';
import { changeConstants } from '../constant-of.js';
import { halfBits } from './half.js';
import { prunableWeights } from '../prune/prune-magnitude.js';
import { raiseOpset } from '../quantize/raise-opset.js';

export interface SharingOptions {
  /** Distinct values per layer: up to 16 take 4 bits a weight, up to 256 take 8. */
  readonly clusters: number;
  readonly start: ClusterStart;
  onLayer(done: number): Promise<void>;
}

const smallest = 64; // below, a codebook and its names take more than they save
const int32 = 6;
const float32 = 1;

/**
 * Replaces each matrix or kernel by indices into a codebook of its own, in place: ONNX Runtime opens the file and looks
 * the weights up once, at load, so what shrinks is the file. Returns how many layers share.
 */
export async function shareWeights(model: Model, { clusters, start, onLayer }: SharingOptions): Promise<number> {
  const names = prunableWeights(model).filter((name) => lengthOf(model, name) >= smallest);
  if (names.length === 0) return 0;
  if (clusters <= 16) raiseOpset(model, 21);
  const shared: { tensor: Tensor; centroids: Float32Array; assigned: Uint8Array }[] = [];
  for (const [i, name] of names.entries()) {
    const tensor = model.graph.initializers.get(name)!;
    const values = floatsOf(tensor);
    expectFinite(tensor, values);
    shared.push({ tensor, ...(await cluster(values, clusters, { start, keepZeros: manyZeros(values) })) });
    await onLayer((i + 1) / names.length);
  }
  changeConstants(model, () => {
    for (const { tensor, centroids, assigned } of shared) {
      const { name, dims } = tensor;
      const dataType = clusters <= 16 ? 'uint4' : 'uint8';
      const bytes = clusters <= 16 ? packed(assigned) : assigned;
      const indices = addConstant(model.graph, { name: `${name}_indices`, dataType, dims, bytes });
      const codebook = addConstant(model.graph, floatTensor(`${name}_codebook`, [centroids.length], centroids));
      const wide = uniqueName(model.graph, `${name}_wide`);
      model.graph.initializers.delete(name);
      model.graph.nodes.unshift(
        makeNode('Cast', [indices], [wide], { to: attribute(int32) }),
        makeNode('Gather', [codebook, wide], [name], { axis: attribute(0) }),
      );
    }
  });
  return shared.length;
}

/** Stores float constants as halves, in place: computed with as floats, so what shrinks is the file. */
export function storeHalves(model: Model): number {
  const { graph } = model;
  const isInput = new Set(graph.inputs.map(({ name }) => name));
  const large = [...graph.initializers.values()].filter(
    (tensor) => tensor.dataType === 'float' && lengthOf(model, tensor.name) >= smallest && !isInput.has(tensor.name),
  );
  changeConstants(model, () => {
    for (const tensor of large) {
      const values = floatsOf(tensor);
      expectFinite(tensor, values);
      const bytes = new Uint8Array(Uint16Array.from(values, halfBits).buffer);
      const half = addConstant(graph, { name: `${tensor.name}_half`, dataType: 'float16', dims: tensor.dims, bytes });
      graph.initializers.delete(tensor.name);
      graph.nodes.unshift(makeNode('Cast', [half], [tensor.name], { to: attribute(float32) }));
    }
  });
  return large.length;
}

function lengthOf({ graph }: Model, name: string): number {
  const tensor = graph.initializers.get(name);
  return tensor ? byteLength(tensor) / 4 : 0;
}

const manyZeros = (values: Float32Array) => values.filter((value) => value === 0).length > values.length / 4;

/** Two to a byte, the first in the low half. */
export function packed(nibbles: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(nibbles.length / 2));
  for (let i = 0; i < nibbles.length; i++) bytes[i >> 1]! |= nibbles[i]! << (4 * (i & 1));
  return bytes;
}
