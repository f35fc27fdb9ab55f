import { OnnxFormatError, attribute, floatTensor, int64Tensor, makeNode, producerOf } from '@modelmill/onnx';
import { consumersOf, uniqueName } from '@modelmill/onnx';
import type { Graph, Model, Node, Tensor } from '@modelmill/onnx';
import { holdsGraph, intAttribute } from './constant-of.js';

/** From this opset on DequantizeLinear has scales per channel. */
const wanted = 13;
/** The first opset whose difference to `wanted` is the table below. */
const oldest = 7;

interface Change {
  /** The opset that changed what the operator's node says. */
  readonly since: number;
  /** Says the same in `wanted`; false where it cannot. */
  readonly rewrite: (graph: Graph, node: Node) => boolean;
}

const never = () => false;

/** What changed until `wanted` and is not understood the same way without a change of the node. */
const changes: Readonly<Record<string, Change>> = {
  BatchNormalization: { since: 9, rewrite: spatial },
  Clip: { since: 11, rewrite: boundsAsInputs },
  Dropout: { since: 12, rewrite: withoutDropout },
  Hardmax: { since: 13, rewrite: never },
  LogSoftmax: { since: 13, rewrite: overOneAxis },
  Pad: { since: 11, rewrite: never },
  ReduceSum: { since: 13, rewrite: (graph, node) => intsAsInput(graph, node, 'axes') },
  Resize: { since: 11, rewrite: never },
  Scan: { since: 9, rewrite: never },
  Scatter: { since: 11, rewrite: never },
  Slice: { since: 10, rewrite: never },
  Softmax: { since: 13, rewrite: overOneAxis },
  Split: { since: 13, rewrite: (graph, node) => intsAsInput(graph, node, 'split') },
  Squeeze: { since: 13, rewrite: (graph, node) => intsAsInput(graph, node, 'axes') },
  TopK: { since: 11, rewrite: never },
  Unsqueeze: { since: 13, rewrite: (graph, node) => intsAsInput(graph, node, 'axes') },
  Upsample: { since: 10, rewrite: never },
};

/** Brings a model to opset 13 where it is older, in place. Throws OnnxFormatError naming the node that stands against it. */
export function raiseOpset(model: Model): void {
  const { graph, opsets } = model;
  const got = opsets.get('') ?? 1;
  model.irVersion = Math.max(model.irVersion, 7); // came with opset 12; initializers need not be inputs since 4
  if (got >= wanted) return;
  if (got < oldest) throw new OnnxFormatError(`the model has opset ${got}, quantization wants ${oldest} or later`);
  for (const node of [...graph.nodes]) {
    const change = node.domain === '' ? changes[node.opType] : undefined;
    const isSame = !holdsGraph(node) && (!change || got >= change.since || change.rewrite(graph, node));
    if (!isSame) {
      throw new OnnxFormatError(
        `node '${node.name}' (${node.opType}) of opset ${got} says something else in opset ${wanted}, which ` +
          `quantization wants: export the model with opset ${wanted} or later`,
      );
    }
  }
  opsets.set('', wanted);
}

/** Before opset 9 statistics could be of every activation. */
function spatial(_graph: Graph, node: Node): boolean {
  const isSpatial = intAttribute(node, 'spatial', 1) === 1;
  node.attributes.delete('spatial');
  return isSpatial;
}

function boundsAsInputs(graph: Graph, node: Node): boolean {
  const bounds = ['min', 'max'].map((bound) => {
    const found = node.attributes.get(bound);
    node.attributes.delete(bound);
    const tensor = (value: number) => floatTensor(`${node.outputs[0]}_${bound}`, [], [value]);
    return found?.kind === 'float' ? addInitializer(graph, tensor(found.value)) : '';
  });
  node.inputs = [node.inputs[0]!, ...bounds];
  return true;
}

/** In inference it does nothing, whatever its rate. */
function withoutDropout(graph: Graph, node: Node): boolean {
  if (consumersOf(graph, node.outputs[1] ?? '').length > 0) return false;
  node.opType = 'Identity';
  node.outputs = node.outputs.slice(0, 1);
  node.attributes.clear();
  return true;
}

function intsAsInput(graph: Graph, node: Node, name: string): boolean {
  const found = node.attributes.get(name);
  node.attributes.delete(name);
  if (found?.kind !== 'ints') return true; // without them all axes, or equal parts, before and after
  const ints = int64Tensor(`${node.outputs[0]}_${name}`, [found.value.length], found.value);
  node.inputs = [node.inputs[0]!, addInitializer(graph, ints)];
  return true;
}

/** Once the axes from `axis` on were one; now it is over `axis` alone. Of a matrix's last axis both say the same. */
function overOneAxis(graph: Graph, node: Node): boolean {
  const axis = intAttribute(node, 'axis', 1);
  const [input, output] = [node.inputs[0]!, node.outputs[0]!];
  node.attributes.set('axis', attribute(-1));
  const isMatrix = ['Gemm', 'Flatten'].includes(producerOf(graph, input)?.opType ?? '');
  if (axis === -1 || (axis === 1 && isMatrix)) return true;

  const [shape, flat, result] = ['shape', 'flat', 'result'].map((part) => uniqueName(graph, `${output}_${part}`));
  node.inputs = [flat!];
  node.outputs = [result!];
  graph.nodes.push(
    makeNode('Shape', [input], [shape!]),
    makeNode('Flatten', [input], [flat!], { axis: attribute(axis) }),
    makeNode('Reshape', [result!, shape!], [output]),
  );
  return true;
}

function addInitializer(graph: Graph, tensor: Tensor): string {
  const name = uniqueName(graph, tensor.name);
  graph.initializers.set(name, { ...tensor, name });
  return name;
}
