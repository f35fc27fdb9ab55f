import { cloneModel, cutFinalSoftmax, densify, expandFunctions, removeUnused } from '@modelmill/onnx';
import type { Graph, Model } from '@modelmill/onnx';

/**
 * An inference graph in the form that is trained: functions are written out, a final Softmax is cut off (the loss has its
 * own), sparse weights are dense, dropout is gone, batch normalization keeps its statistics. The model given is not changed.
 */
export function importForTraining(model: Model): Model {
  const forward = densify(cloneModel(expandFunctions(model)));
  cutFinalSoftmax(forward);
  dropDropout(forward.graph);
  removeUnused(forward.graph);
  // their type may have come from what was cut
  forward.graph.valueInfo = [];
  return forward;
}

/** Lets consumers read what dropout read: in inference it changes nothing. */
export function dropDropout(graph: Graph): void {
  const from = new Map<string, string>();
  const through = (value: string): string => (from.has(value) ? through(from.get(value)!) : value);
  graph.nodes = graph.nodes.filter(({ opType, inputs, outputs }) => {
    if (opType !== 'Dropout') return true;
    from.set(outputs[0]!, inputs[0]!);
    return false;
  });
  for (const node of graph.nodes) node.inputs = node.inputs.map(through);
  graph.outputs = graph.outputs.map((output) => {
    const source = through(output.name);
    if (source === output.name) return output;
    // the graph's output keeps its name
    for (const node of graph.nodes) {
      node.outputs = node.outputs.map((name) => (name === source ? output.name : name));
      node.inputs = node.inputs.map((name) => (name === source ? output.name : name));
    }
    return output;
  });
}
