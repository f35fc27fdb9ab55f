import { attribute, makeNode } from '@modelmill/onnx';
import type { Graph } from '@modelmill/onnx';
import { isTrainingBatchNorm } from '../read-graph.js';

/** Float initializers of at least one axis that are no statistics: what training would change. */
export function weightsOf({ nodes, initializers }: Graph): string[] {
  const normalizations = nodes.filter(({ opType }) => opType === 'BatchNormalization');
  const statistics = new Set(normalizations.flatMap(({ inputs }) => inputs.slice(3, 5)));
  return [...initializers]
    .filter(([name, { dataType, dims }]) => dataType === 'float' && dims.length > 0 && !statistics.has(name))
    .map(([name]) => name);
}

/** Makes weights constants, in place: training changes initializers only. */
export function freeze(graph: Graph, names: Iterable<string>): void {
  const frozen = new Set(names);
  const constants = [...frozen].flatMap((name) => {
    const tensor = graph.initializers.get(name);
    graph.initializers.delete(name);
    return tensor ? [makeNode('Constant', [], [name], { value: attribute(tensor) })] : [];
  });
  graph.nodes.unshift(...constants);
  // an initializer that is an input, too, was a default
  graph.inputs = graph.inputs.filter(({ name }) => !frozen.has(name));
}

/** Lets batch normalizations gather statistics again, in place. */
export function unfreezeStatistics(graph: Graph): void {
  for (const node of graph.nodes) {
    if (node.opType !== 'BatchNormalization' || isTrainingBatchNorm(node)) continue;
    const [output] = node.outputs;
    node.outputs = [output!, `${output}.mean.next`, `${output}.variance.next`];
    node.attributes.set('training_mode', attribute(1));
  }
}
