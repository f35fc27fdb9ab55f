import { counterRandom } from '@modelmill/data';
import { attribute, byteLength, computedTensor, floatView, floatsOf, makeNode } from '@modelmill/onnx';
import type { Model, Tensor } from '@modelmill/onnx';
import { addConstant } from '../add-constant.js';
import { cluster } from './cluster.js';
import type { ClusterStart } from './cluster.js';
import { writeCodebooks } from './codebooks.js';
import type { Codebook } from './codebooks.js';
import { changeConstants } from '../constant-of.js';
import type { OnLayer } from '../layer-progress.js';
import { halfBits } from './half.js';
import { prunableWeights } from '../prune/prune-magnitude.js';
import { raiseOpset } from '../quantize/raise-opset.js';

export interface SharingOptions {
  /** Distinct values per layer: up to 16 take 4 bits a weight, up to 256 take 8. */
  readonly clusters: number;
  readonly start: ClusterStart;
  /** Of what `kmeans++` draws. */
  readonly seed?: bigint;
  readonly onLayer: OnLayer;
}

const smallest = 64; // below, a codebook and its names take more than they save
const float32 = 1;

/**
 * Replaces each matrix or kernel by indices into a codebook of its own, in place: ONNX Runtime opens the file and looks
 * the weights up once, at load, so what shrinks is the file. Returns how many layers share.
 */
export async function shareWeights(model: Model, options: SharingOptions): Promise<number> {
  const codebooks = await findCodebooks(model, options);
  if (codebooks.length > 0) storeCodebooks(model, codebooks, options.clusters);
  return codebooks.length;
}

/** Writes codebooks of at most so many values as small as they can be. */
export function storeCodebooks(model: Model, codebooks: readonly Codebook[], clusters: number): void {
  const inFourBits = clusters <= 16;
  if (inFourBits) raiseOpset(model, 21);
  writeCodebooks(model, codebooks, inFourBits);
}

/** A codebook for each matrix and kernel, by k-means; one of many zeros keeps them. */
export async function findCodebooks(
  model: Model,
  { clusters, start, seed = 0n, onLayer }: SharingOptions,
): Promise<Codebook[]> {
  const names = prunableWeights(model).filter((name) => lengthOf(model, name) >= smallest);
  const codebooks: Codebook[] = [];
  for (const [i, name] of names.entries()) {
    await onLayer(name, i, names.length);
    const tensor = model.graph.initializers.get(name)!;
    const values = floatsOf(tensor);
    const random = counterRandom(seed, i);
    const { centroids, assigned } = await cluster(values, clusters, { start, keepZeros: manyZeros(values), random });
    codebooks.push(codebookOf(tensor, centroids, assigned, manyZeros(values)));
  }
  return codebooks;
}

/** A zero that stays comes first. */
function codebookOf(
  { name, dims }: Tensor,
  centroids: Float32Array,
  assigned: Uint8Array,
  keepsZero: boolean,
): Codebook {
  if (!keepsZero) return { name, dims, values: centroids, indices: assigned, keepsZero };
  const zero = centroids.indexOf(0);
  const values = Float32Array.of(0, ...centroids.filter((_, k) => k !== zero));
  return { name, dims, values, indices: assigned.map((k) => (k === zero ? 0 : k + Number(k < zero))), keepsZero };
}

/**
 * Stores float constants as halves, in place: computed with as floats, so what shrinks is the file. A mask of −∞ stays as it is:
 * what is larger than any half becomes the largest.
 */
export function storeHalves(model: Model, onLayer?: OnLayer): number {
  const { graph } = model;
  const isInput = new Set(graph.inputs.map(({ name }) => name));
  const large = [...graph.initializers.values()].filter(
    (tensor) =>
      tensor.dataType === 'float' &&
      lengthOf(model, tensor.name) >= smallest &&
      !isInput.has(tensor.name) &&
      floatView(tensor).every(Number.isFinite),
  );
  changeConstants(model, () => {
    for (const [i, tensor] of large.entries()) {
      const { name, dims } = tensor;
      void onLayer?.(name, i, large.length);
      const stored = computedTensor({ name: `${name}_half`, dataType: 'float16', dims }, () =>
        halvesOf(floatsOf(tensor)),
      );
      const half = addConstant(graph, stored);
      graph.initializers.delete(tensor.name);
      graph.nodes.unshift(makeNode('Cast', [half], [tensor.name], { to: attribute(float32) }));
    }
  });
  return large.length;
}

function halvesOf(values: Float32Array): Uint8Array {
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) halves[i] = halfBits(values[i]!);
  return new Uint8Array(halves.buffer);
}

function lengthOf({ graph }: Model, name: string): number {
  const tensor = graph.initializers.get(name);
  return tensor ? byteLength(tensor) / 4 : 0;
}

/** More than come about without pruning. */
const manyZeros = (values: Float32Array) => values.filter((value) => value === 0).length > values.length / 100;
