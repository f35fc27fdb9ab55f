import { elementCount, floatTensor, floatsOf } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { intAttribute } from '../constant-of.js';
import { prunableWeights } from './prune-magnitude.js';

/** At most `kept` weights that are not zero in every `of` along the inputs of one output. */
export interface Pattern {
  readonly kept: number;
  readonly of: number;
}

/**
 * Keeps the `kept` largest of every `of` weights that one output adds up, in place (N:M sparsity, Mishra et al. 2021).
 * Of equal magnitudes the earlier stay; inputs at the end that do not fill a group stay as they are. How many weights
 * became zero that were not.
 */
export function prunePattern(model: Model, pattern: Pattern): number {
  let changed = 0;
  for (const name of prunableWeights(model)) {
    const tensor = model.graph.initializers.get(name)!;
    const values = floatsOf(tensor);
    const { length, stride } = inputsOf(model, name, tensor.dims);
    for (let start = 0; start < values.length; start++) {
      const isFirst = Math.floor(start / stride) % length === 0;
      if (isFirst) changed += pruneRun(values, { start, length, stride }, pattern);
    }
    model.graph.initializers.set(name, floatTensor(name, tensor.dims, values));
  }
  return changed;
}

/** Where the weights of one output lie: so many, so far apart. */
interface Run {
  readonly start: number;
  readonly length: number;
  readonly stride: number;
}

function pruneRun(values: Float32Array, { start, length, stride }: Run, { kept, of }: Pattern): number {
  let changed = 0;
  for (let group = 0; group + of <= length; group += of) {
    const places = Array.from({ length: of }, (_, i) => start + (group + i) * stride);
    places.sort((a, b) => Math.abs(values[b]!) - Math.abs(values[a]!) || a - b);
    for (const place of places.slice(kept)) {
      if (values[place] !== 0) changed++;
      values[place] = 0;
    }
  }
  return changed;
}

/** A convolution's kernel has its outputs first; a matrix has them last, unless it is transposed or multiplies from the left. */
function inputsOf({ graph }: Model, name: string, dims: readonly number[]): Omit<Run, 'start'> {
  const node = graph.nodes.find(({ inputs }) => inputs.includes(name))!;
  const outputsFirst =
    node.opType === 'Conv' ||
    (node.opType === 'Gemm' && intAttribute(node, 'transB', 0) !== 0) ||
    (node.opType === 'MatMul' && node.inputs[0] === name);
  if (node.opType === 'ConvTranspose') return { length: dims[0]!, stride: elementCount(dims.slice(1)) };
  if (!outputsFirst) return { length: dims.at(-2)!, stride: dims.at(-1)! };
  return { length: node.opType === 'Conv' ? elementCount(dims.slice(1)) : dims.at(-1)!, stride: 1 };
}
