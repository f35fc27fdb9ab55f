import { freshNames } from '@modelmill/onnx';
import type { Graph, Model, Node } from '@modelmill/onnx';
import { narrowSplits } from './narrow-splits.js';
import { isConvolution, padChannels, weightShapes } from './pad-channels.js';

/** Outputs of a Split: with its input they are the eight buffers that every WebGPU device gives a shader. */
const mostOutputs = 7;

export interface FittedModel {
  readonly model: Model;
  /** Names of nodes that WebGPU must leave to the CPU. */
  readonly leftToCpu: readonly string[];
}

/**
 * The same numbers by operators that ONNX Runtime 1.30 computes right on WebGPU; what has no such form is left to the CPU.
 * Throws where a fault may hide in a subgraph or a function, which nobody rewrites.
 */
export function fitWebGpu(model: Model): FittedModel {
  const hidden = hiddenNodes(model).find((node) => isConvolution(node) || isWideSplit(node));
  if (hidden) throw new Error(`a ${hidden.opType} within a subgraph or a function cannot be trusted to WebGPU`);
  const narrow = withNames(narrowSplits(model, mostOutputs));
  return { model: padChannels(narrow), leftToCpu: notOnWebGpu(narrow).map(({ name }) => name) };
}

/** Pools that give positions, Splits too wide for a shader, and convolutions of weights whose shape no one states. */
function notOnWebGpu({ graph }: Model): Node[] {
  const shapes = weightShapes(graph);
  return graph.nodes.filter((node) => {
    if (node.opType === 'MaxPool') return node.outputs.length > 1;
    return isWideSplit(node) || (isConvolution(node) && !shapes.has(node.inputs[1] ?? ''));
  });
}

const isWideSplit = ({ opType, outputs }: Node) => opType === 'Split' && outputs.length > mostOutputs;

function hiddenNodes({ graph, functions }: Model): Node[] {
  const within = (nodes: readonly Node[]): Node[] =>
    nodes.flatMap((node) => [...node.attributes.values()].flatMap(graphsIn).flatMap((inner) => withInner(inner.nodes)));
  const withInner = (nodes: readonly Node[]): Node[] => [...nodes, ...within(nodes)];
  return [...within(graph.nodes), ...functions.flatMap(({ nodes }) => withInner(nodes))];
}

function graphsIn(attribute: Node['attributes'] extends Map<string, infer A> ? A : never): readonly Graph[] {
  if (attribute.kind === 'graph') return [attribute.value];
  return attribute.kind === 'graphs' ? attribute.value : [];
}

/** A name of its own for every node, by which it can be left to the CPU. */
function withNames(model: Model): Model {
  const fresh = freshNames([]);
  const nodes = model.graph.nodes.map((node) => ({ ...node, name: fresh(node.name || node.opType) }));
  return { ...model, graph: { ...model.graph, nodes } };
}
