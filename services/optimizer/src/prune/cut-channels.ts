import { attribute, cloneModel, elementCount, floatTensor, floatsOf, int64Tensor, intsOf } from '@modelmill/onnx';
import { uniqueName } from '@modelmill/onnx';
import type { Model, Node, Tensor } from '@modelmill/onnx';
import type { ChannelGroups } from './channel-groups.js';
import type { Channels } from './channel-flow.js';
import { splitAxis } from './channel-movements.js';
import { isDepthwise } from './channel-products.js';
import { intAttribute } from '../constant-of.js';

/** A copy of the model without these sets of channels, in every tensor that has slices of theirs. */
export function cutChannels(parent: Model, { flow, constants }: ChannelGroups, removed: ReadonlySet<number>): Model {
  const model = cloneModel(parent);
  const { graph } = model;
  const kept = (channels: Channels) => [...channels.keys()].filter((at) => !removed.has(flow.setOf(channels[at]!)));
  const isCut = (channels: Channels | undefined): channels is Channels =>
    channels !== undefined && channels.some((channel) => removed.has(flow.setOf(channel)));

  for (const { name, axis, channels } of constants) {
    if (isCut(channels)) graph.initializers.set(name, slicesOf(graph.initializers.get(name)!, axis, kept(channels)));
  }
  for (const node of graph.nodes) {
    const read = flow.axesOf(node.inputs[0]).get(1);
    if (isCut(read) && isDepthwise(intAttribute(node, 'group', 1), read.length)) {
      node.attributes.set('group', attribute(kept(read).length));
    }
    if (node.opType === 'Split') setLengths(node);
    if (node.opType !== 'Reshape') continue;
    const shape = graph.initializers.get(node.inputs[1]!);
    const cut = [...flow.axesOf(node.outputs[0])].filter(([, channels]) => isCut(channels));
    if (!shape || cut.length === 0) continue;
    const sizes = intsOf(shape).map(Number);
    for (const [axis, channels] of cut) if (sizes[axis]! > 0) sizes[axis] = kept(channels).length;
    const name = uniqueName(graph, `${node.outputs[0]}_shape`);
    graph.initializers.set(name, int64Tensor(name, [sizes.length], sizes));
    node.inputs = [node.inputs[0]!, name];
  }
  graph.valueInfo = []; // sizes of what was cut
  return model;

  function setLengths(node: Node): void {
    const axis = splitAxis(node, flow) ?? 0;
    if (!isCut(flow.axesOf(node.inputs[0]).get(axis))) return;
    const lengths = node.outputs.map((output) => {
      const channels = flow.axesOf(output).get(axis);
      return channels ? kept(channels).length : flow.shapeOf(output)![axis]!;
    });
    node.attributes.delete('num_outputs');
    if (flow.opset < 13) {
      node.attributes.set('split', attribute(lengths));
      return;
    }
    const name = uniqueName(graph, `${node.outputs[0]}_lengths`);
    graph.initializers.set(name, int64Tensor(name, [lengths.length], lengths));
    node.inputs = [node.inputs[0]!, name];
  }
}

/** The slices of a tensor at these places of an axis. */
export function slicesOf(tensor: Tensor, axis: number, places: readonly number[]): Tensor {
  const { name, dims } = tensor;
  const values = floatsOf(tensor);
  const inner = elementCount(dims.slice(axis + 1));
  const outer = elementCount(dims.slice(0, axis));
  const cut = new Float32Array(outer * places.length * inner);
  let at = 0;
  for (let block = 0; block < outer; block++) {
    for (const place of places) {
      const from = (block * dims[axis]! + place) * inner;
      cut.set(values.subarray(from, from + inner), at);
      at += inner;
    }
  }
  return floatTensor(
    name,
    dims.map((size, i) => (i === axis ? places.length : size)),
    cut,
  );
}
