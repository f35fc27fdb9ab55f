import { quoted } from './quoted.js';
import { OnnxFormatError } from './model.js';
import type { Attribute, Graph, Model, Node } from './model.js';

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

/** Lets every consumer of `from` read `to` instead. Outputs of the graph keep their names. */
export function replaceInput(graph: Graph, from: string, to: string): void {
  for (const node of graph.nodes) node.inputs = node.inputs.map((input) => (input === from ? to : input));
}

export function removeNode(graph: Graph, node: Node): void {
  graph.nodes.splice(graph.nodes.indexOf(node), 1);
}

/** A name no value of the graph has, nor of the graphs inside it. */
export function uniqueName(graph: Graph, wanted: string): string {
  const taken = valueNames(graph);
  let name = wanted;
  for (let i = 1; taken.has(name); i++) name = `${wanted}_${i}`;
  return name;
}

/** The graphs among a node's attributes. */
export function subgraphsOf({ attributes }: Node): Graph[] {
  return [...attributes.values()].flatMap((attribute) => {
    if (attribute.kind === 'graph') return [attribute.value];
    return attribute.kind === 'graphs' ? [...attribute.value] : [];
  });
}

function ownValues({ inputs, initializers, sparseInitializers, nodes }: Graph): Set<string> {
  const values = new Set([...initializers.keys(), ...sparseInitializers.keys()]);
  for (const { name } of inputs) values.add(name);
  for (const { outputs } of nodes) for (const name of outputs) values.add(name);
  return values;
}

/** Names of all values of a graph and of the graphs inside it. */
export function valueNames(graph: Graph): Set<string> {
  const values = ownValues(graph);
  for (const inner of graph.nodes.flatMap(subgraphsOf)) for (const name of valueNames(inner)) values.add(name);
  return values;
}

/** Names of the values around a node that it reads: its inputs, and what its subgraphs take from outside. */
export function valuesRead(node: Node): ReadonlySet<string> {
  const read = new Set(node.inputs);
  for (const graph of subgraphsOf(node)) {
    const own = ownValues(graph);
    const inner = [...graph.nodes.flatMap((each) => [...valuesRead(each)]), ...graph.outputs.map(({ name }) => name)];
    for (const name of inner) if (!own.has(name)) read.add(name);
  }
  read.delete(''); // an optional input that is left out
  return read;
}

/** Removes nodes and initializers that no output is computed from. */
export function removeUnused(graph: Graph): void {
  const needed = new Set(graph.outputs.map(({ name }) => name));
  const kept: Node[] = [];
  for (const node of [...topologicallySorted(graph)].reverse()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    kept.push(node);
    for (const name of valuesRead(node)) needed.add(name);
  }
  graph.nodes = kept.reverse();
  for (const name of graph.initializers.keys()) if (!needed.has(name)) graph.initializers.delete(name);
  for (const name of graph.sparseInitializers.keys()) if (!needed.has(name)) graph.sparseInitializers.delete(name);
  const left = ownValues(graph);
  graph.valueInfo = graph.valueInfo.filter(({ name }) => left.has(name));
}

/** Producers before consumers. Throws where the graph has a circle. */
export function topologicallySorted(graph: Graph): Node[] {
  const producer = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const waiting = new Map<Node, number>();
  const users = new Map<Node, Node[]>();
  for (const node of graph.nodes) {
    const sources = new Set([...valuesRead(node)].flatMap((value) => producer.get(value) ?? []));
    waiting.set(node, sources.size);
    for (const source of sources) {
      const others = users.get(source);
      if (others) others.push(node);
      else users.set(source, [node]);
    }
  }
  const ready = graph.nodes.filter((node) => waiting.get(node) === 0);
  for (const node of ready) {
    for (const user of users.get(node) ?? []) {
      const left = waiting.get(user)! - 1;
      waiting.set(user, left);
      if (left === 0) ready.push(user);
    }
  }
  if (ready.length < graph.nodes.length) {
    const { name, opType } = graph.nodes.find((node) => waiting.get(node)! > 0)!;
    throw new OnnxFormatError(`node ${quoted(name)} (${opType}) is in a circle of nodes, or waits for one`);
  }
  return ready;
}

/** Makes the input of a final Softmax the graph's output, in place. Its name, or the name of the output as it is. */
export function cutFinalSoftmax(model: Model): string {
  const { graph } = model;
  const [output] = graph.outputs;
  if (!output) throw new OnnxFormatError('the graph has no output');
  const node = producerOf(graph, output.name);
  const isFinal = graph.outputs.length === 1 && consumersOf(graph, output.name).length === 0;
  if (node?.opType !== 'Softmax' || node.domain !== '' || !isFinal) return output.name;
  const logits = node.inputs[0]!;
  removeNode(graph, node);
  graph.outputs = [{ ...output, name: logits }];
  graph.valueInfo = graph.valueInfo.filter(({ name }) => name !== logits && name !== output.name);
  return logits;
}
