import { freshNames, int64Tensor, makeNode } from '@modelmill/onnx';
import type { Graph, Model, Node } from '@modelmill/onnx';
import { constantsOf } from './constants-of.js';

/**
 * Convolutions of 6, 9, 15, … channels with zeros beside these, up to a multiple of 4. WebGPU in ONNX Runtime 1.30 computes
 * something else for such channels, without a word; microsoft/onnxruntime#29651 may be the same fault. Reads the shapes of
 * weights that the graph states.
 */
export function padChannels(model: Model): Model {
  const { graph } = model;
  const shapes = weightShapes(graph);
  const padsAreAttribute = (model.opsets.get('') ?? 0) < 11;
  const initializers = new Map(graph.initializers);
  const fresh = freshNames([
    ...initializers.keys(),
    ...graph.inputs.map(({ name }) => name),
    ...graph.nodes.flatMap(({ outputs }) => outputs),
  ]);
  const nodes = graph.nodes.flatMap((node) => {
    const weight = shapes.get(node.inputs[1] ?? '');
    if (weight === undefined || !isMisread(node, weight)) return [node];
    const [, channels = 0] = weight;
    const x = padded(node.inputs[0]!, weight.length, channels);
    const w = padded(node.inputs[1]!, weight.length, channels);
    return [x, w, { ...node, inputs: [x.outputs[0]!, w.outputs[0]!, ...node.inputs.slice(2)] }];
  });
  return { ...model, graph: { ...graph, nodes, initializers } };

  /** Zeros at the end of axis 1. */
  function padded(value: string, rank: number, channels: number): Node {
    const output = fresh(`${value}.padded`);
    const pads = Array.from({ length: 2 * rank }, (_, i) => (i === rank + 1 ? 4 - (channels % 4) : 0));
    if (padsAreAttribute) return makeNode('Pad', [value], [output], { pads: { kind: 'ints', value: pads } });
    const name = fresh(`${output}.pads`);
    initializers.set(name, int64Tensor(name, [pads.length], pads));
    return makeNode('Pad', [value, name], [output]);
  }
}

/** Of every value whose sizes are stated, also behind the scale of a quantized weight. */
export function weightShapes(graph: Graph): ReadonlyMap<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  for (const { name, shape } of [...graph.inputs, ...graph.valueInfo]) {
    if (shape?.every((size): size is number => typeof size === 'number')) shapes.set(name, shape);
  }
  for (const [name, { dims }] of constantsOf(graph)) shapes.set(name, dims);
  for (const { opType, inputs, outputs } of graph.nodes) {
    const shape = sameShape.has(opType) ? shapes.get(inputs[0]!) : undefined;
    if (shape) shapes.set(outputs[0]!, shape);
  }
  return shapes;
}

const sameShape = new Set(['DequantizeLinear', 'Cast', 'Identity']);

export const isConvolution = ({ opType, domain }: Node) => opType === 'Conv' && domain === '';

/** As measured: three channels themselves are read well, and so is a weight whose outputs are no multiple of 4. */
function isMisread(node: Node, [outputs = 0, channels = 0]: readonly number[]): boolean {
  const group = node.attributes.get('group');
  if (!isConvolution(node) || (group?.kind === 'int' && group.value !== 1)) return false;
  return outputs % 4 === 0 && channels > 3 && channels % 3 === 0 && channels % 4 !== 0;
}
