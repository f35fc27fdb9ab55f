import { attribute, cloneModel, floatTensor, makeNode, producerOf, removeUnused, uniqueName } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { TrainingFormError } from './errors.js';
import { dropDropout } from './import-for-training.js';
import { isTrainingBatchNorm } from './read-graph.js';

export interface InferenceOptions {
  /** Ends the graph with a Softmax named `probabilities`; else the output is named `output`. */
  readonly softmax: boolean;
  /** The logit of one class of two: the graph ends with both probabilities, [batch, 2]. Excludes `softmax`. */
  readonly sigmoid?: boolean;
  /** Weights and running statistics become inputs of their names instead of constants. */
  readonly weightsAsInputs?: boolean;
}

/**
 * The graph that is served: dropout gone, batch normalization with its running statistics, any batch size. `weights` are
 * values by their names in `forward`; those without one keep theirs. The model given is not changed.
 */
export function inferenceModel(
  forward: Model,
  weights: ReadonlyMap<string, Float32Array>,
  { softmax, sigmoid = false, weightsAsInputs = false }: InferenceOptions,
): Model {
  const model = cloneModel(forward);
  const { graph } = model;
  dropDropout(graph);
  for (const node of graph.nodes) {
    if (!isTrainingBatchNorm(node)) continue;
    node.outputs = node.outputs.slice(0, 1);
    node.attributes.delete('training_mode');
  }
  for (const [name, values] of weights) {
    const tensor = graph.initializers.get(name);
    if (tensor?.dataType !== 'float') continue;
    graph.initializers.set(name, floatTensor(name, tensor.dims, values));
  }

  const [output] = graph.outputs;
  if (!output) throw new TrainingFormError('the graph has no output');
  const wanted = softmax || sigmoid ? 'probabilities' : 'output';
  // an inner value may have the name that the output gets
  if (output.name !== wanted && producerOf(graph, wanted)) {
    renameValue(model, wanted, uniqueName(graph, `inner.${wanted}`));
  }
  if (softmax) {
    if (output.name === wanted) renameValue(model, output.name, uniqueName(graph, 'logits'));
    graph.nodes.push(makeNode('Softmax', [graph.outputs[0]!.name], [wanted], { axis: attribute(-1) }, wanted));
  } else if (sigmoid) {
    if (output.name === wanted) renameValue(model, output.name, uniqueName(graph, 'logit'));
    const [positive, one, negative] = ['positive', 'one', 'negative'].map((name) => uniqueName(graph, name));
    graph.initializers.set(one!, floatTensor(one!, [], [1]));
    graph.nodes.push(
      makeNode('Sigmoid', [graph.outputs[0]!.name], [positive!], {}, positive!),
      makeNode('Sub', [one!, positive!], [negative!], {}, negative!),
      makeNode('Concat', [negative!, positive!], [wanted], { axis: attribute(-1) }, wanted),
    );
  } else if (output.name !== wanted) renameValue(model, output.name, wanted);
  const pair = sigmoid && output.dataType !== undefined && output.shape;
  graph.outputs = [
    pair ? { dataType: output.dataType, name: wanted, shape: [...pair.slice(0, -1), 2] } : { ...output, name: wanted },
  ];
  removeUnused(graph);
  graph.valueInfo = [];
  if (weightsAsInputs) {
    for (const name of weights.keys()) {
      const tensor = graph.initializers.get(name);
      if (tensor?.dataType !== 'float') continue;
      graph.initializers.delete(name);
      graph.inputs.push({ name, dataType: 'float', shape: tensor.dims });
    }
  }
  return model;
}

function renameValue({ graph }: Model, from: string, to: string): void {
  const renamed = (name: string) => (name === from ? to : name);
  for (const node of graph.nodes) {
    node.inputs = node.inputs.map(renamed);
    node.outputs = node.outputs.map(renamed);
  }
  graph.outputs = graph.outputs.map((output) => ({ ...output, name: renamed(output.name) }));
}
