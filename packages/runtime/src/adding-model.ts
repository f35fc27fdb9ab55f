import { emptyGraph, makeNode, writeOnnx } from '@modelmill/onnx';

/** The file of a model of one small operator, for where any will do. */
export function addingModel(): Uint8Array {
  const graph = emptyGraph('adding');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: [4] }];
  graph.outputs = [{ name: 'y', dataType: 'float', shape: [4] }];
  graph.nodes = [makeNode('Add', ['x', 'x'], ['y'])];
  return writeOnnx({
    irVersion: 8,
    opsets: new Map([['', 18]]),
    producer: 'modelmill',
    metadata: new Map(),
    graph,
    functions: [],
  });
}
