import { elementCount, floatsOf, intsOf } from '@modelmill/onnx';
import type { Graph, Model, Node, Tensor } from '@modelmill/onnx';
import { lookedUpSigns } from './pack/sign-tables.js';

/** Which inputs of an operator hold weights: what training changes. A MatMul's may stand on either side. */
export const weightInputs: Readonly<Record<string, readonly number[]>> = {
  Conv: [1, 2],
  ConvTranspose: [1, 2],
  Gemm: [1, 2],
  MatMul: [0, 1],
  MatMulInteger: [1],
  MatMulIntegerToFloat: [1],
  QLinearConv: [3, 8],
  QLinearMatMul: [3],
  QGemm: [3, 6],
  GatherBlockQuantized: [0],
  BatchNormalization: [1, 2],
  InstanceNormalization: [1, 2],
  GroupNormalization: [1, 2],
  LayerNormalization: [1, 2],
  PRelu: [1],
  Gather: [0],
  LSTM: [1, 2, 3],
  GRU: [1, 2, 3],
  RNN: [1, 2, 3],
};

/** Where a product's bias is among its inputs. */
const biasInputs: Readonly<Record<string, number>> = { Conv: 2, ConvTranspose: 2, Gemm: 2, QLinearConv: 8, QGemm: 6 };

/** Whose large weights pruning makes zero and quantization stores in eight bits. */
const products = new Set(
  `Conv ConvTranspose Gemm MatMul MatMulInteger MatMulNBits MatMulIntegerToFloat QLinearConv QLinearMatMul QGemm`.split(
    ' ',
  ),
);
const quantizedOperators =
  /^(QuantizeLinear|DequantizeLinear|DynamicQuantizeLinear|QLinear.*|QGemm|(Conv|MatMul)Integer.*|MatMulNBits|GatherBlockQuantized)$/;

/** One constant with weights; a quantized one is counted as what it stands for. */
export interface Weights {
  /** Of the initializer. */
  readonly name: string;
  readonly count: number;
  readonly zeros: number;
  readonly isQuantized: boolean;
  /** A kernel or a matrix; biases stay dense and wide. */
  readonly isMatrix: boolean;
}

/** A node with its weights. */
export interface WeightedLayer {
  readonly node: Node;
  readonly weights: readonly Weights[];
}

/** How many numbers a constant has, how many of them are zero, and its axes; undefined where there is none. */
type Count = (graph: Graph, name: string, zero: number) => ReturnType<typeof countOf>;

/** Layers with weights, in graph order. The bias that is added to a matrix product belongs to it. */
export function weightedLayers({ graph }: Model, count: Count = countOf): WeightedLayer[] {
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const consumers = new Map<string, Node[]>();
  for (const node of graph.nodes) {
    for (const input of node.inputs) consumers.set(input, [...(consumers.get(input) ?? []), node]);
  }

  function weightsIn(value: string | undefined, isMatrix: boolean): Weights[] {
    if (value === undefined || value === '') return [];
    const signs = lookedUpSigns(graph, producers, value);
    if (signs) return [{ ...signs, isQuantized: true, isMatrix: isMatrix && signs.rank >= 2 }];
    const stored = storedAs(graph, producers, value);
    const counted = count(graph, stored.name, stored.zero);
    return counted ? [{ ...counted, ...stored, isMatrix: isMatrix && counted.rank >= 2 }] : [];
  }

  function biasesAfter(value: string): Weights[] {
    const [user, another] = consumers.get(value) ?? [];
    if (user === undefined || another) return [];
    if (between.has(user.opType)) return biasesAfter(user.outputs[0]!);
    if (user.opType !== 'Add') return [];
    return user.inputs.filter((input) => input !== value).flatMap((input) => weightsIn(input, false));
  }

  return graph.nodes.flatMap((node) => {
    const isProduct = products.has(node.opType);
    if (node.opType === 'Gather' && indicesOf(graph, producers, node.inputs[1]!) !== undefined) return []; // counted where it goes
    const places = weightInputs[node.opType] ?? [];
    const inBlocks = node.opType === 'MatMulNBits' ? blocksOf(graph, node) : [];
    const own = [
      ...inBlocks,
      ...places.flatMap((at) => weightsIn(node.inputs[at], isProduct && at !== biasInputs[node.opType])),
    ];
    if (own.length === 0) return [];
    return [{ node, weights: node.opType.startsWith('MatMul') ? [...own, ...biasesAfter(node.outputs[0]!)] : own }];
  });
}

/** What may lie between a product and its bias. */
const between = new Set(['QuantizeLinear', 'DequantizeLinear', 'Cast', 'Mul']);

/** The constant that stands for a value: quantized, as indices into a codebook, as bytes or halves, or itself; and its zero. */
function storedAs(graph: Graph, producers: ReadonlyMap<string, Node>, value: string) {
  const { opType, inputs = [] } = producers.get(value) ?? {};
  const [first = '', second = '', third = ''] = inputs;
  if (opType === 'DequantizeLinear') {
    const zeroPoint = graph.initializers.get(third);
    const name = indicesOf(graph, producers, first) ?? first; // integers of four bits are made wider first
    return { name, zero: zeroPoint ? intsOf(zeroPoint)[0]! : 0, isQuantized: true };
  }
  if (opType === 'Cast' && graph.initializers.get(first)?.dataType === 'float16') {
    return { name: first, zero: 0, isQuantized: true };
  }
  const wide = opType === 'Mul' ? indicesOf(graph, producers, first) : undefined;
  if (wide !== undefined && graph.initializers.get(wide)?.dataType === 'int8') {
    return { name: wide, zero: 0, isQuantized: true };
  }
  const indices = opType === 'Gather' ? indicesOf(graph, producers, second) : undefined;
  const codebook = graph.initializers.get(first);
  if (indices !== undefined && codebook?.dims.length === 1) {
    return { name: indices, zero: floatsOf(codebook).indexOf(0), isQuantized: true };
  }
  const type = graph.initializers.get(value)?.dataType ?? '';
  return { name: value, zero: 0, isQuantized: ['int8', 'uint8', 'float16'].includes(type) };
}

/** The constant that a value is in another type, as are the indices of a lookup of shared weights. */
function indicesOf(graph: Graph, producers: ReadonlyMap<string, Node>, value: string): string | undefined {
  const { opType, inputs = [] } = producers.get(value) ?? {};
  return opType === 'Cast' && graph.initializers.has(inputs[0]!) ? inputs[0] : undefined;
}

/** Weights of MatMulNBits: as many as the matrix has, which its blocks may round up. */
function blocksOf(graph: Graph, { inputs, attributes }: Node): Weights[] {
  const [k, n] = ['K', 'N'].map((name) => {
    const found = attributes.get(name);
    return found?.kind === 'int' ? found.value : 0;
  });
  if (!graph.initializers.has(inputs[1]!)) return [];
  return [{ name: inputs[1]!, count: k! * n!, zeros: 0, isQuantized: true, isMatrix: true }];
}

/** Figures of a whole model; weights that layers share count once. */
export interface WeightFigures {
  readonly parameters: number;
  /** Share of zeros among the weights of convolutions and matrix products, from 0 to 1. */
  readonly sparsity: number;
}

export function weightFigures(model: Model): WeightFigures {
  const all = new Map(weightedLayers(model).flatMap(({ weights }) => weights.map((one) => [one.name, one] as const)));
  const matrices = [...all.values()].filter(({ isMatrix }) => isMatrix);
  const total = sum(matrices.map(({ count }) => count));
  return {
    parameters: sum([...all.values()].map(({ count }) => count)),
    sparsity: total === 0 ? 0 : sum(matrices.map(({ zeros }) => zeros)) / total,
  };
}

/** Whether some of its arithmetic is in integers already, or its weights are stored as something else than floats. */
export const isQuantized = (model: Model): boolean =>
  model.graph.nodes.some(({ opType }) => quantizedOperators.test(opType)) ||
  weightedLayers(model, sizeOf).some(({ weights }) => weights.some((one) => one.isQuantized));

export const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** Without a look at the numbers. */
const sizeOf: Count = ({ sparseInitializers, initializers }, name) => {
  const { dims } = sparseInitializers.get(name) ?? initializers.get(name) ?? {};
  return dims && { count: elementCount(dims), zeros: 0, rank: dims.length };
};

function countOf(graph: Graph, name: string, zero: number) {
  const sparse = graph.sparseInitializers.get(name);
  if (sparse) {
    const count = elementCount(sparse.dims);
    const filled = floatsOf(sparse.values).filter((value) => value !== 0).length;
    return { count, zeros: count - filled, rank: sparse.dims.length };
  }
  const dense = graph.initializers.get(name);
  if (!dense) return undefined;
  let zeros = 0;
  for (const value of numbersIn(dense)) if (value === zero) zeros++;
  return { count: elementCount(dense.dims), zeros, rank: dense.dims.length };
}

function numbersIn(tensor: Tensor): ArrayLike<number> & Iterable<number> {
  switch (tensor.dataType) {
    case 'float':
    case 'double':
      return floatsOf(tensor);
    case 'int8':
      return new Int8Array(new Uint8Array(tensor.bytes).buffer);
    case 'uint8':
      return new Uint8Array(tensor.bytes);
    case 'int32':
      return intsOf(tensor);
    case 'float16': // 0 and −0 are the halves without a bit of magnitude
      return new Uint16Array(new Uint8Array(tensor.bytes).buffer).map((bits) => bits & 0x7fff);
    case 'uint4':
    case 'int4': {
      // as if unsigned, which a zero is in both
      const { bytes } = tensor;
      return Uint8Array.from({ length: elementCount(tensor.dims) }, (_, i) => (bytes[i >> 1]! >> (4 * (i & 1))) & 15);
    }
    default:
      return [];
  }
}
