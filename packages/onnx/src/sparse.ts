import { cloneModel } from './edit.js';
import { OnnxFormatError } from './model.js';
import type { Model, SparseTensor, Tensor } from './model.js';
import { quoted } from './quoted.js';
import { elementCount, floatTensor, floatsOf, intTensor, intsOf, tensorBytes } from './tensor.js';

/** Sparse initializers as dense ones. Throws where a position lies outside its tensor. */
export function densify(model: Model): Model {
  const dense = cloneModel(model);
  for (const [name, sparse] of dense.graph.sparseInitializers) {
    dense.graph.initializers.set(name, denseTensor(name, sparse));
  }
  dense.graph.sparseInitializers.clear();
  return dense;
}

function denseTensor(name: string, { values, indices, dims }: SparseTensor): Tensor {
  const { dataType } = values;
  const width = tensorBytes(dataType, [1]);
  if (width === undefined || tensorBytes(dataType, [2]) !== 2 * width) {
    throw new OnnxFormatError(`sparse tensor ${quoted(name)} is ${dataType}, wants a type of whole bytes`);
  }
  const total = elementCount(dims);
  const bytes = new Uint8Array(total * width);
  linearPositions(intsOf(indices), indices.dims, dims).forEach((position, i) => {
    if (!(position >= 0 && position < total)) {
      throw new OnnxFormatError(`sparse tensor ${quoted(name)} has a value at ${position}, wants 0 to ${total - 1}`);
    }
    bytes.set(values.bytes.subarray(i * width, (i + 1) * width), position * width);
  });
  return { name, dataType, dims, bytes };
}

function linearPositions(indices: number[], indexDims: readonly number[], dims: readonly number[]): number[] {
  if (indexDims.length === 1) return indices;
  const rank = dims.length;
  return Array.from({ length: indexDims[0]! }, (_, i) =>
    dims.reduce((position, size, axis) => position * size + indices[i * rank + axis]!, 0),
  );
}

/**
 * Stores float initializers of at least `from` zeros (a share) as their values and int32 linear positions, which takes
 * less space from half zeros on. ONNX's text asks for int64 positions; ONNX Runtime reads both.
 */
export function sparsify(model: Model, from = 0.55): Model {
  const sparse = cloneModel(model);
  const { inputs, nodes, initializers, sparseInitializers } = sparse.graph;
  // what is an input, too, is only a default; operators beyond ONNX's read constants in a layout of their own
  const contrib = nodes.filter(({ domain }) => domain !== '');
  const kept = new Set([...inputs.map(({ name }) => name), ...contrib.flatMap((node) => node.inputs)]);
  for (const [name, tensor] of initializers) {
    if (tensor.dataType !== 'float' || tensor.dims.length < 2 || kept.has(name)) continue;
    const stored = sparseTensor(tensor, from);
    if (!stored) continue;
    initializers.delete(name);
    sparseInitializers.set(name, stored);
  }
  return sparse;
}

function sparseTensor(tensor: Tensor, from: number): SparseTensor | undefined {
  const values = floatsOf(tensor);
  // a negative zero is kept: its sign matters to a division
  let zeros = 0;
  for (const value of values) if (Object.is(value, 0)) zeros++;
  if (zeros === 0 || zeros < from * values.length || values.length > 2 ** 31) return undefined;
  const positions = new Int32Array(values.length - zeros);
  let filled = 0;
  values.forEach((value, i) => {
    if (!Object.is(value, 0)) positions[filled++] = i;
  });
  const { name, dims } = tensor;
  return {
    values: floatTensor(
      name,
      [positions.length],
      Float32Array.from(positions, (i) => values[i]!),
    ),
    indices: intTensor('', 'int32', [positions.length], positions),
    dims,
  };
}
