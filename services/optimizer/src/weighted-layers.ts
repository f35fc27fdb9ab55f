import { elementCount, floatsOf, intsOf } from '@modelmill/onnx';
import type { Graph, Model, Node } from '@modelmill/onnx';

/** Which inputs of an operator hold weights: what training changes. A MatMul's may stand on either side. */
const weightInputs: Readonly<Record<string, readonly number[]>> = {
  Conv: [1, 2],
  ConvTranspose: [1, 2],
  Gemm: [1, 2],
  MatMul: [0, 1],
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

/** Whose large weights pruning makes zero and quantization stores in eight bits. */
const products = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul']);
const quantizedOperators = /^(QuantizeLinear|DequantizeLinear|DynamicQuantizeLinear|QLinear.*|(Conv|MatMul)Integer)$/;

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

/** Layers with weights, in graph order. The bias that is added to a matrix product belongs to it. */
export function weightedLayers({ graph }: Model): WeightedLayer[] {
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const consumers = new Map<string, Node[]>();
  for (const node of graph.nodes) {
    for (const input of node.inputs) consumers.set(input, [...(consumers.get(input) ?? []), node]);
  }

  function weightsIn(value: string | undefined, isMatrix: boolean): Weights[] {
    if (value === undefined || value === '') return [];
    const producer = producers.get(value);
    const isQuantized = producer?.opType === 'DequantizeLinear';
    const name = isQuantized ? producer.inputs[0]! : value;
    const zeroPoint = isQuantized ? graph.initializers.get(producer.inputs[2] ?? '') : undefined;
    const counted = countOf(graph, name, zeroPoint ? intsOf(zeroPoint)[0]! : 0);
    return counted ? [{ name, isQuantized, isMatrix: isMatrix && counted.rank >= 2, ...counted }] : [];
  }

  function biasesAfter(value: string): Weights[] {
    const [user, another] = consumers.get(value) ?? [];
    if (user === undefined || another) return [];
    if (user.opType === 'QuantizeLinear' || user.opType === 'DequantizeLinear') return biasesAfter(user.outputs[0]!);
    if (user.opType !== 'Add') return [];
    return user.inputs.filter((input) => input !== value).flatMap((input) => weightsIn(input, false));
  }

  return graph.nodes.flatMap((node) => {
    const isProduct = products.has(node.opType);
    const own = (weightInputs[node.opType] ?? []).flatMap((at) => weightsIn(node.inputs[at], isProduct && at < 2));
    if (own.length === 0) return [];
    return [{ node, weights: node.opType === 'MatMul' ? [...own, ...biasesAfter(node.outputs[0]!)] : own }];
  });
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

/** Whether some of its arithmetic or its weights are in integers already. */
export const isQuantized = ({ graph }: Model): boolean =>
  graph.nodes.some(({ opType }) => quantizedOperators.test(opType));

export const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

function countOf(graph: Graph, name: string, zero: number) {
  const sparse = graph.sparseInitializers.get(name);
  if (sparse) {
    const count = elementCount(sparse.dims);
    const filled = floatsOf(sparse.values).filter((value) => value !== 0).length;
    return { count, zeros: count - filled, rank: sparse.dims.length };
  }
  const dense = graph.initializers.get(name);
  if (!dense) return undefined;
  const isFloat = dense.dataType === 'float' || dense.dataType === 'double';
  const isInteger = dense.dataType === 'int8' || dense.dataType === 'uint8' || dense.dataType === 'int32';
  const values = isFloat ? floatsOf(dense) : isInteger ? intsOf(dense) : [];
  let zeros = 0;
  for (const value of values) if (value === zero) zeros++;
  return { count: elementCount(dense.dims), zeros, rank: dense.dims.length };
}
