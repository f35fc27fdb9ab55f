import { removeUnused } from '@modelmill/onnx';
import type { Graph, Model, Node, Tensor } from '@modelmill/onnx';

/** The value of an initializer or a Constant node; undefined for what is computed. */
export function constantOf(graph: Graph, name: string | undefined): Tensor | undefined {
  if (name === undefined || name === '') return undefined;
  const initializer = graph.initializers.get(name);
  if (initializer) return initializer;
  const node = graph.nodes.find(({ opType, outputs }) => opType === 'Constant' && outputs[0] === name);
  const value = node?.attributes.get('value');
  return value?.kind === 'tensor' ? value.value : undefined;
}

/** As `constantOf`, of float32 alone. */
export function floatConstantOf(graph: Graph, name: string | undefined): Tensor | undefined {
  const tensor = constantOf(graph, name);
  return tensor?.dataType === 'float' ? tensor : undefined;
}

export const isLeftOut = (name: string | undefined): boolean => name === undefined || name === '';

export function intAttribute({ attributes }: Node, name: string, otherwise: number): number {
  const found = attributes.get(name);
  return found?.kind === 'int' ? found.value : otherwise;
}

export function floatOf({ attributes }: Node, name: string, otherwise: number): number {
  const found = attributes.get(name);
  return found?.kind === 'float' ? found.value : otherwise;
}

/** Whether a node holds graphs of its own, which may read any value around them. */
export const holdsGraph = ({ attributes }: Node): boolean =>
  [...attributes.values()].some(({ kind }) => kind === 'graph' || kind === 'graphs');

/**
 * Changes a model's constants and removes what is not used after. Until IR version 4 constants were listed as inputs,
 * where one that is gone would become an input to be fed.
 */
export function changeConstants(model: Model, change: () => void): void {
  const { graph } = model;
  const before = new Set(graph.initializers.keys());
  change();
  model.irVersion = Math.max(model.irVersion, 4);
  removeUnused(graph);
  graph.inputs = graph.inputs.filter(({ name }) => !before.has(name) || graph.initializers.has(name));
}
