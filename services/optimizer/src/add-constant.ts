import { renamedTensor, uniqueName } from '@modelmill/onnx';
import type { Graph, Tensor } from '@modelmill/onnx';

/** Adds a constant under its name, or one like it that is free; returns the name. */
export function addConstant(graph: Graph, tensor: Tensor): string {
  const name = uniqueName(graph, tensor.name);
  graph.initializers.set(name, renamedTensor(tensor, name));
  return name;
}
