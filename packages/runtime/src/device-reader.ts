import { emptyGraph, makeNode, writeOnnx } from '@modelmill/onnx';
import { InferenceSession } from 'onnxruntime-node';
import type { Tensor } from 'onnxruntime-node';
import type { TensorSignature } from './tensor.js';

/** Copies tensors from a WebGPU device to this process. */
export interface DeviceReader extends AsyncDisposable {
  read(tensors: Readonly<Record<string, Tensor>>): Promise<Readonly<Record<string, Tensor>>>;
}

/**
 * A reader of float32 tensors of these names and shapes: a graph of Identity nodes whose outputs lie here. In ONNX Runtime
 * 1.30 `getData` of a tensor on the device ends the process.
 */
export async function openDeviceReader(tensors: readonly TensorSignature[]): Promise<DeviceReader> {
  const outputs = new Map(tensors.map(({ name }, i) => [`copy.${i}`, name]));
  const session = await InferenceSession.create(copying(tensors, [...outputs.keys()]), {
    executionProviders: ['webgpu'],
    logSeverityLevel: 3,
  });
  return {
    async read(from) {
      const copies = await session.run(from);
      return Object.fromEntries(Object.entries(copies).map(([output, copy]) => [outputs.get(output)!, copy]));
    },
    [Symbol.asyncDispose]: () => session.release(),
  };
}

function copying(tensors: readonly TensorSignature[], outputs: readonly string[]): Uint8Array {
  const graph = emptyGraph('copies');
  const typed = tensors.map(({ name, shape }) => ({ name, dataType: 'float' as const, shape }));
  graph.inputs = typed;
  graph.outputs = typed.map((tensor, i) => ({ ...tensor, name: outputs[i]! }));
  graph.nodes = typed.map(({ name }, i) => makeNode('Identity', [name], [outputs[i]!]));
  return writeOnnx({
    irVersion: 8,
    opsets: new Map([['', 18]]),
    producer: 'modelmill',
    metadata: new Map(),
    graph,
    functions: [],
  });
}
