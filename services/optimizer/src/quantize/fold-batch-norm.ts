import { consumersOf, elementCount, floatTensor, floatsOf, producerOf } from '@modelmill/onnx';
import { floatAttribute, removeNode, renamedTensor, uniqueName } from '@modelmill/onnx';
import type { Graph, Model, Node, Tensor } from '@modelmill/onnx';
import { changeConstants, floatConstantOf, floatOf, holdsGraph, intAttribute, isLeftOut } from '../constant-of.js';

/**
 * Folds BatchNormalization nodes in inference form into the Conv or Gemm before them, in place, where nothing else reads
 * that one's output. The number folded. `keepShared` leaves weights alone that several layers read: they stay the same ones.
 */
export function foldBatchNorm(model: Model, { keepShared = false } = {}): number {
  const { graph } = model;
  if (graph.nodes.some(holdsGraph)) return 0;
  const norms = graph.nodes.filter(({ opType, domain }) => opType === 'BatchNormalization' && domain === '');
  if (norms.length === 0) return 0;
  let folded = 0;
  changeConstants(model, () => {
    for (const norm of norms) if (fold(graph, norm, keepShared)) folded++;
  });
  return folded;
}

function fold(graph: Graph, norm: Node, keepShared: boolean): boolean {
  const value = norm.inputs[0]!;
  const layer = producerOf(graph, value);
  const affine = affineOf(graph, norm);
  if (!layer || !affine) return false;
  const isRead = consumersOf(graph, value).length > 1 || graph.outputs.some(({ name }) => name === value);
  const weights = floatConstantOf(graph, layer.inputs[1]);
  const bias = floatConstantOf(graph, layer.inputs[2]);
  if (isRead || !weights || (!bias && !isLeftOut(layer.inputs[2]))) return false;

  if (keepShared && layer.inputs.slice(1).some((name) => consumersOf(graph, name).length > 1)) return false;
  const axis = channelAxis(layer);
  const channels = affine.scale.length;
  if (axis === undefined || weights.dims[axis] !== channels) return false;
  if (bias && elementCount(bias.dims) !== channels && elementCount(bias.dims) !== 1) return false;

  const beta = layer.opType === 'Gemm' ? floatOf(layer, 'beta', 1) : 1;
  const biases = bias ? floatsOf(bias) : Float32Array.of(0);
  // y = (x·W + βb − mean)·s + shift = x·(W·s) + ((βb − mean)·s + shift)
  const moved = affine.scale.map((scale, c) => {
    const before = beta * biases[biases.length === 1 ? 0 : c]!;
    return (before - affine.mean[c]!) * scale + affine.shift[c]!;
  });
  layer.inputs = [
    layer.inputs[0]!,
    addInitializer(graph, scaledChannels(weights, axis, affine.scale)),
    addInitializer(graph, floatTensor(`${norm.outputs[0]}_bias`, [channels], moved)),
  ];
  if (beta !== 1) layer.attributes.set('beta', floatAttribute(1));
  layer.outputs = [norm.outputs[0]!];
  removeNode(graph, norm);
  return true;
}

/** The axis of the weights that runs along the output's axis 1; undefined where the node has none. */
function channelAxis(layer: Node): number | undefined {
  if (layer.domain !== '') return undefined;
  if (layer.opType === 'Conv') return 0;
  return layer.opType === 'Gemm' ? 1 - intAttribute(layer, 'transB', 0) : undefined;
}

/** What an inference-form node does, in doubles: y = (x − mean)·scale + shift. */
function affineOf(graph: Graph, norm: Node) {
  const isTraining = intAttribute(norm, 'training_mode', 0) !== 0 || norm.outputs.slice(1).some((name) => name !== '');
  const perActivation = intAttribute(norm, 'spatial', 1) === 0;
  const [gamma, beta, mean, variance] = norm.inputs.slice(1).map((input) => floatConstantOf(graph, input));
  if (isTraining || perActivation || !gamma || !beta || !mean || !variance) return undefined;
  const epsilon = floatOf(norm, 'epsilon', 1e-5);
  const variances = floatsOf(variance);
  return {
    scale: Array.from(floatsOf(gamma), (factor, c) => factor / Math.sqrt(variances[c]! + epsilon)),
    mean: floatsOf(mean),
    shift: floatsOf(beta),
  };
}

function scaledChannels(tensor: Tensor, axis: number, scale: readonly number[]): Tensor {
  const { name, dims } = tensor;
  const values = floatsOf(tensor);
  const inner = elementCount(dims.slice(axis + 1));
  for (let i = 0; i < values.length; i++) values[i]! *= scale[Math.floor(i / inner) % scale.length]!;
  return floatTensor(`${name}_folded`, dims, values);
}

/** Under a name of its own: others may read what it was made from. */
function addInitializer(graph: Graph, tensor: Tensor): string {
  const name = uniqueName(graph, tensor.name);
  graph.initializers.set(name, renamedTensor(tensor, name));
  return name;
}
