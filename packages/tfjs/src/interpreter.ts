import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { floatsOf, intsOf, topologicallySorted } from '@modelmill/onnx';
import type { Model, Node, Tensor as OnnxTensor } from '@modelmill/onnx';
import { operators } from './operators.js';
import { readingOf } from './reading.js';

/** A model as functions of TensorFlow.js: tensors by name in, its outputs out. */
export type Interpreted = (fed: ReadonlyMap<string, Tensor>) => Map<string, Tensor>;

/** Names the first node that TensorFlow.js has no operator for; undefined where it has all. */
export function nodeWithout({ graph }: Model): Node | undefined {
  return graph.nodes.find(({ opType, domain }) => domain !== '' || !Object.hasOwn(operators, opType));
}

/** Its constants become tensors once and stay; what runs make between is for the caller to tidy. */
export function interpret(model: Model): Interpreted {
  const { graph } = model;
  const nodes = topologicallySorted(graph);
  const constants = new Map([...graph.initializers].map(([name, tensor]) => [name, tf.keep(tensorOf(tensor))]));
  return (fed) => {
    const values = new Map<string, Tensor>([...constants, ...fed]);
    for (const node of nodes) {
      const x = node.inputs.map((name) => (name === '' ? undefined : values.get(name)!));
      const made = operators[node.opType]!(readingOf(node, x, graph.initializers));
      const outputs = made instanceof tf.Tensor ? [made] : made;
      node.outputs.forEach((name, i) => name !== '' && outputs[i] && values.set(name, outputs[i]));
    }
    return new Map(graph.outputs.map(({ name }) => [name, values.get(name)!]));
  };
}

function tensorOf(tensor: OnnxTensor): Tensor {
  const dims = [...tensor.dims];
  switch (tensor.dataType) {
    case 'float':
    case 'double':
      return tf.tensor(floatsOf(tensor), dims, 'float32');
    case 'bool':
      return tf.tensor(Uint8Array.from(intsOf(tensor)), dims, 'bool');
    default:
      // ends of slices lie beyond 32 bits; they are read as lists, not from here
      return tf.tensor(
        Int32Array.from(intsOf(tensor), (value) => Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, value))),
        dims,
        'int32',
      );
  }
}
