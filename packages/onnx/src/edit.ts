import { floatTensor, floatsOf, intTensor, intsOf } from './tensor.js';
import { OnnxFormatError } from './model.js';
import type { Attribute, Graph, Model, Node, Tensor } from './model.js';

/** A copy whose graph may be edited; tensors are shared, because their bytes are never changed in place. */
export function cloneModel(model: Model): Model {
  return {
    ...model,
    opsets: new Map(model.opsets),
    metadata: new Map(model.metadata),
    graph: cloneGraph(model.graph),
    functions: [...model.functions],
  };
}

const cloneGraph = (graph: Graph): Graph => ({
  name: graph.name,
  nodes: graph.nodes.map((node) => ({
    ...node,
    inputs: [...node.inputs],
    outputs: [...node.outputs],
    attributes: new Map(node.attributes),
  })),
  initializers: new Map(graph.initializers),
  sparseInitializers: new Map(graph.sparseInitializers),
  inputs: [...graph.inputs],
  outputs: [...graph.outputs],
  valueInfo: [...graph.valueInfo],
});

export function makeNode(
  opType: string,
  inputs: string[],
  outputs: string[],
  attributes: Readonly<Record<string, Attribute>> = {},
  name = `${opType}:${outputs[0]}`,
): Node {
  return { name, opType, domain: '', inputs, outputs, attributes: new Map(Object.entries(attributes)) };
}

/** The node a value comes from; undefined for inputs and initializers. */
export const producerOf = (graph: Graph, value: string): Node | undefined =>
  graph.nodes.find(({ outputs }) => outputs.includes(value));

export const consumersOf = (graph: Graph, value: string): Node[] =>
  graph.nodes.filter(({ inputs }) => inputs.includes(value));

/** Lets every consumer of `from`, and the graph's outputs, read `to` instead. */
export function replaceInput(graph: Graph, from: string, to: string): void {
  for (const node of graph.nodes) node.inputs = node.inputs.map((input) => (input === from ? to : input));
}

export function removeNode(graph: Graph, node: Node): void {
  graph.nodes.splice(graph.nodes.indexOf(node), 1);
}

/** A name no value of the graph has. */
export function uniqueName(graph: Graph, wanted: string): string {
  const taken = new Set([
    ...graph.nodes.flatMap(({ outputs }) => outputs),
    ...graph.initializers.keys(),
    ...graph.sparseInitializers.keys(),
    ...graph.inputs.map(({ name }) => name),
  ]);
  let name = wanted;
  for (let i = 1; taken.has(name); i++) name = `${wanted}_${i}`;
  return name;
}

/** Removes nodes and initializers that no output is computed from. */
export function removeUnused(graph: Graph): void {
  const needed = new Set(graph.outputs.map(({ name }) => name));
  const kept: Node[] = [];
  for (const node of [...topologicallySorted(graph)].reverse()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    kept.push(node);
    for (const input of node.inputs) needed.add(input);
  }
  graph.nodes = kept.reverse();
  for (const name of graph.initializers.keys()) if (!needed.has(name)) graph.initializers.delete(name);
  for (const name of graph.sparseInitializers.keys()) if (!needed.has(name)) graph.sparseInitializers.delete(name);
}

/** Producers before consumers. Throws where the graph has a circle. */
export function topologicallySorted(graph: Graph): Node[] {
  const producer = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const waiting = new Map<Node, number>();
  const users = new Map<Node, Node[]>();
  for (const node of graph.nodes) {
    const sources = new Set(node.inputs.flatMap((input) => producer.get(input) ?? []));
    waiting.set(node, sources.size);
    for (const source of sources) users.set(source, [...(users.get(source) ?? []), node]);
  }
  const ready = graph.nodes.filter((node) => waiting.get(node) === 0);
  for (const node of ready) {
    for (const user of users.get(node) ?? []) {
      const left = waiting.get(user)! - 1;
      waiting.set(user, left);
      if (left === 0) ready.push(user);
    }
  }
  if (ready.length < graph.nodes.length) throw new OnnxFormatError('the nodes of the graph form a circle');
  return ready;
}

/** Makes the input of a final Softmax the graph's output, in place. Its name, or the name of the output as it is. */
export function cutFinalSoftmax(model: Model): string {
  const { graph } = model;
  const [output] = graph.outputs;
  if (!output) throw new OnnxFormatError('the graph has no output');
  const node = producerOf(graph, output.name);
  if (node?.opType !== 'Softmax' || graph.outputs.length !== 1) return output.name;
  const logits = node.inputs[0]!;
  removeNode(graph, node);
  graph.outputs = [{ ...output, name: logits }];
  return logits;
}

/** Sparse initializers as dense ones. */
export function densify(model: Model): Model {
  const dense = cloneModel(model);
  for (const [name, { values, indices, dims }] of dense.graph.sparseInitializers) {
    const full = new Float32Array(dims.reduce((product, size) => product * size, 1));
    const at = linearPositions(intsOf(indices), indices.dims, dims);
    floatsOf(values).forEach((value, i) => (full[at[i]!] = value));
    dense.graph.initializers.set(name, floatTensor(name, dims, full));
  }
  dense.graph.sparseInitializers.clear();
  return dense;
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
  const { initializers, sparseInitializers } = sparse.graph;
  for (const [name, tensor] of initializers) {
    if (tensor.dataType !== 'float' || tensor.dims.length < 2) continue;
    const stored = sparseTensor(tensor, from);
    if (!stored) continue;
    initializers.delete(name);
    sparseInitializers.set(name, stored);
  }
  return sparse;
}

function sparseTensor(tensor: Tensor, from: number) {
  const values = floatsOf(tensor);
  const positions: number[] = [];
  values.forEach((value, i) => {
    if (value !== 0) positions.push(i);
  });
  if (values.length - positions.length < from * values.length) return undefined;
  const { name, dims } = tensor;
  return {
    values: floatTensor(
      name,
      [positions.length],
      positions.map((i) => values[i]!),
    ),
    indices: intTensor('', 'int32', [positions.length], positions),
    dims,
  };
}
