import { attribute, emptyGraph, floatTensor, makeNode, writeOnnx } from '@modelmill/onnx';
import type { DataType, Graph } from '@modelmill/onnx';
import { listen } from './jobs.js';
import type { Mesh } from './start-mesh.js';

const file = (graph: Graph) =>
  writeOnnx({ irVersion: 8, opsets: new Map([['', 18]]), producer: '', metadata: new Map(), graph, functions: [] });

/** y [n] is x [n]. */
export function identity(dataType: DataType): Uint8Array {
  const graph = emptyGraph('identity');
  graph.inputs = [{ name: 'x', dataType, shape: ['n'] }];
  graph.outputs = [{ name: 'y', dataType, shape: ['n'] }];
  graph.nodes = [makeNode('Identity', ['x'], ['y'])];
  return file(graph);
}

/** probabilities [n, classes] of input [n, features], and their largest class: softmax of the input times sines. */
export function classifier(features = 4, classes = 3, scale = 1): Uint8Array {
  const graph = emptyGraph('classifier');
  graph.inputs = [{ name: 'input', dataType: 'float', shape: ['n', features] }];
  graph.outputs = [
    { name: 'probabilities', dataType: 'float', shape: ['n', classes] },
    { name: 'class', dataType: 'int64', shape: ['n'] },
  ];
  const weights = Float32Array.from({ length: features * classes }, (_, i) => scale * Math.sin(i));
  graph.initializers.set('w', floatTensor('w', [features, classes], weights));
  graph.nodes = [
    makeNode('MatMul', ['input', 'w'], ['logits']),
    makeNode('Softmax', ['logits'], ['probabilities'], { axis: attribute(-1) }),
    makeNode('ArgMax', ['logits'], ['class'], { axis: attribute(-1), keepdims: attribute(0) }),
  ];
  return file(graph);
}

/** Uploads a model and resolves when the mesh answers for it. */
export async function serve({ mill, natsUrl }: Mesh, model: string, content: Uint8Array): Promise<void> {
  await using events = await listen(natsUrl);
  const { version } = await mill.registry.uploadVersion({ model, content });
  await events.heard(new RegExp(`model\\.${model}\\.${version}\\.admitted$`));
  await mill.registry.setLabel(model, { name: 'stable', targets: [{ version, weight: 1 }] });
  await events.heard(new RegExp(`model\\.${model}\\.${version}\\.ready$`));
}
