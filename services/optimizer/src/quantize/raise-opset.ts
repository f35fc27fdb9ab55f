import { OnnxFormatError, attribute, floatTensor, int64Tensor, makeNode, producerOf } from '@modelmill/onnx';
import { consumersOf, uniqueName } from '@modelmill/onnx';
import type { Graph, Model, Node } from '@modelmill/onnx';
import { addConstant } from '../add-constant.js';
import { holdsGraph, intAttribute } from '../constant-of.js';

/** Opsets that a model is raised to, with the IR version that came with each. */
const irVersions = { 13: 7, 21: 10 } as const;
export type WantedOpset = keyof typeof irVersions;
/** The first opset whose differences to later ones are the table below. */
const oldest = 7;

interface Change {
  /** The opset that changed what the operator's node says. */
  readonly since: number;
  /** Says the same from then on; false where it cannot. */
  readonly rewrite: (graph: Graph, node: Node) => boolean;
}

const never = () => false;

const axesAsInput: Change = { since: 18, rewrite: (graph, node) => intsAsInput(graph, node, 'axes') };

/** What changed until 21 and is not understood the same way without a change of the node, oldest first. */
const changes: Readonly<Record<string, readonly Change[]>> = {
  BatchNormalization: [{ since: 9, rewrite: spatial }],
  Clip: [{ since: 11, rewrite: boundsAsInputs }],
  DFT: [{ since: 20, rewrite: never }],
  Dropout: [{ since: 12, rewrite: withoutDropout }],
  GridSample: [{ since: 20, rewrite: never }],
  GroupNormalization: [{ since: 21, rewrite: never }],
  Hardmax: [{ since: 13, rewrite: never }],
  LogSoftmax: [{ since: 13, rewrite: overOneAxis }],
  Pad: [{ since: 11, rewrite: never }],
  ReduceL1: [axesAsInput],
  ReduceL2: [axesAsInput],
  ReduceLogSum: [axesAsInput],
  ReduceLogSumExp: [axesAsInput],
  ReduceMax: [axesAsInput],
  ReduceMean: [axesAsInput],
  ReduceMin: [axesAsInput],
  ReduceProd: [axesAsInput],
  ReduceSum: [{ since: 13, rewrite: (graph, node) => intsAsInput(graph, node, 'axes') }],
  ReduceSumSquare: [axesAsInput],
  Resize: [{ since: 11, rewrite: never }],
  RoiAlign: [{ since: 16, rewrite: never }],
  Scan: [{ since: 9, rewrite: never }],
  Scatter: [{ since: 11, rewrite: never }],
  Slice: [{ since: 10, rewrite: never }],
  Softmax: [{ since: 13, rewrite: overOneAxis }],
  Split: [
    { since: 13, rewrite: (graph, node) => intsAsInput(graph, node, 'split') },
    { since: 18, rewrite: partsCounted },
  ],
  Squeeze: [{ since: 13, rewrite: (graph, node) => intsAsInput(graph, node, 'axes') }],
  TopK: [{ since: 11, rewrite: never }],
  Unsqueeze: [{ since: 13, rewrite: (graph, node) => intsAsInput(graph, node, 'axes') }],
  Upsample: [{ since: 10, rewrite: never }],
};

/**
 * Brings an older model to an opset, in place: 13, whose DequantizeLinear has scales per channel, or 21, which has
 * four-bit types. Throws OnnxFormatError naming the node that stands against it.
 */
export function raiseOpset(model: Model, wanted: WantedOpset = 13): void {
  const { graph, opsets } = model;
  const got = opsets.get('') ?? 1;
  model.irVersion = Math.max(model.irVersion, irVersions[wanted]); // initializers need not be inputs since IR version 4
  if (got >= wanted) return;
  if (got < oldest) throw new OnnxFormatError(`the model has opset ${got}, quantization wants ${oldest} or later`);
  for (const node of [...graph.nodes]) {
    const known = node.domain === '' ? (changes[node.opType] ?? []) : [];
    const due = known.filter(({ since }) => since > got && since <= wanted);
    if (holdsGraph(node) || !due.every(({ rewrite }) => rewrite(graph, node))) {
      throw new OnnxFormatError(
        `node '${node.name}' (${node.opType}) of opset ${got} says something else in opset ${wanted}, which ` +
          `quantization wants: export the model with opset ${wanted} or later`,
      );
    }
  }
  opsets.set('', wanted);
}

/** Until opset 18 a Split into equal parts had as many as it had outputs; now it says so. */
function partsCounted(_graph: Graph, node: Node): boolean {
  if (node.inputs[1] === undefined || node.inputs[1] === '') {
    node.attributes.set('num_outputs', attribute(node.outputs.length));
  }
  return true;
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
    return found?.kind === 'float' ? addConstant(graph, tensor(found.value)) : '';
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
  node.inputs = [node.inputs[0]!, addConstant(graph, ints)];
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
