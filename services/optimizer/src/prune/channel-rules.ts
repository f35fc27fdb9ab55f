import { elementCount } from '@modelmill/onnx';
import type { Node } from '@modelmill/onnx';
import type { ChannelFlow, ChannelRule, Channels } from './channel-flow.js';
import { productRules } from './channel-products.js';
import { intAttribute } from '../constant-of.js';

const elementwise =
  'Relu LeakyRelu Elu Selu Celu Gelu Sigmoid HardSigmoid HardSwish Swish Mish Tanh Softplus Softsign ThresholdedRelu Erf ' +
  'Exp Log Sqrt Reciprocal Abs Neg Sign Floor Ceil Round Clip Identity Dropout Cast Sin Cos';
const broadcasting = 'Add Sub Mul Div Pow Max Min Sum Mean PRelu Where';
const pools = 'MaxPool AveragePool LpPool GlobalMaxPool GlobalAveragePool GlobalLpPool';
const reshapes = 'Reshape Flatten Squeeze Unsqueeze';

const all = (names: string, rule: ChannelRule) => Object.fromEntries(names.split(' ').map((name) => [name, rule]));

/** An operator without a row leaves the channels it reads whole. */
export const channelRules: Readonly<Record<string, ChannelRule>> = {
  ...all(elementwise, (node, flow) => {
    if (node.outputs.length > 1) return false;
    flow.setAxes(node.outputs[0]!, flow.axesOf(node.inputs[0]));
    return true;
  }),
  ...all(broadcasting, broadcast),
  ...all(pools, (node, flow) => {
    const axes = flow.axesOf(node.inputs[0]);
    if (node.outputs.length > 1 || [...axes.keys()].some((axis) => axis > 1)) return false;
    flow.setAxes(node.outputs[0]!, axes);
    return true;
  }),
  ...all(reshapes, regroup),
  ...all('Softmax LogSoftmax', softmax),
  ...productRules,
  BatchNormalization: (node, flow) => perChannel(node, flow, [1, 2, 3, 4]),
  InstanceNormalization: (node, flow) => perChannel(node, flow, [1, 2]),
  LayerNormalization: layerNormalization,
  Concat: concat,
  Transpose: (node, flow) => {
    const rank = flow.shapeOf(node.inputs[0])?.length;
    if (rank === undefined) return false;
    const perm = node.attributes.get('perm');
    const from = perm?.kind === 'ints' ? perm.value : Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
    const axes = flow.axesOf(node.inputs[0]);
    flow.setAxes(
      node.outputs[0]!,
      from.flatMap((axis, to) => (axes.has(axis) ? [[to, axes.get(axis)!] as const] : [])),
    );
    return true;
  },
};

/** Operands whose axes line up from the last; one that has no channels there may have a single slice. */
function broadcast(node: Node, flow: ChannelFlow): boolean {
  const shape = flow.shapeOf(node.outputs[0]);
  const operands = node.inputs.map((name) => ({ name, shape: flow.shapeOf(name), axes: flow.axesOf(name) }));
  if (!shape || operands.some((operand) => !operand.shape)) return false;
  const result: [number, Channels][] = [];
  for (const [axis, size] of shape.entries()) {
    const aligned = operands.map((operand) => ({ ...operand, at: axis - shape.length + operand.shape!.length }));
    const present = aligned.filter(({ at, shape: own }) => at >= 0 && own![at]! > 1);
    const channels = present.map(({ at, axes }) => axes.get(at)).find((own) => own !== undefined);
    if (!channels || size === 1) continue;
    for (const { name, at, axes } of present) {
      const own = axes.get(at);
      if (own) flow.join(channels, own);
      else if (!flow.read(node, name, at, channels)) flow.keepWhole(channels);
    }
    result.push([axis, channels]);
  }
  flow.setAxes(node.outputs[0]!, result);
  return true;
}

function perChannel(node: Node, flow: ChannelFlow, parameters: readonly number[]): boolean {
  const axes = flow.axesOf(node.inputs[0]);
  const channels = axes.get(1);
  if (node.outputs.length > 1 || axes.size > (channels ? 1 : 0)) return false;
  if (channels) {
    for (const at of parameters) if (!flow.read(node, node.inputs[at]!, 0, channels)) flow.keepWhole(channels);
  }
  flow.setAxes(node.outputs[0]!, axes);
  return true;
}

function layerNormalization(node: Node, flow: ChannelFlow): boolean {
  const rank = flow.shapeOf(node.inputs[0])?.length;
  if (rank === undefined || node.outputs.length > 1) return false;
  const given = intAttribute(node, 'axis', -1);
  const begin = given < 0 ? given + rank : given;
  const axes = flow.axesOf(node.inputs[0]);
  for (const [axis, channels] of axes) {
    if (axis < begin) continue;
    for (const parameter of node.inputs.slice(1)) {
      if (parameter !== '' && !flow.read(node, parameter, axis - begin, channels)) flow.keepWhole(channels);
    }
  }
  flow.setAxes(node.outputs[0]!, axes);
  return true;
}

/** Channels it does not normalize over. */
function softmax(node: Node, flow: ChannelFlow): boolean {
  const rank = flow.shapeOf(node.inputs[0])?.length;
  const axes = flow.axesOf(node.inputs[0]);
  const given = intAttribute(node, 'axis', -1);
  if (rank === undefined || flow.opset < 13 || axes.has(given < 0 ? given + rank : given)) return false;
  flow.setAxes(node.outputs[0]!, axes);
  return true;
}

/** Channels of one operand come after those of the other. */
function concat(node: Node, flow: ChannelFlow): boolean {
  const shape = flow.shapeOf(node.outputs[0]);
  const shapes = node.inputs.map((input) => flow.shapeOf(input));
  if (!shape || shapes.some((one) => !one)) return false;
  const given = intAttribute(node, 'axis', 0);
  const along = given < 0 ? given + shape.length : given;
  const result: [number, Channels][] = [];
  for (const axis of shape.keys()) {
    const own = node.inputs.map((input) => flow.axesOf(input).get(axis));
    const channels = own.find((one) => one !== undefined);
    if (!channels) continue;
    if (axis === along) {
      result.push([axis, own.flatMap((one, i) => one ?? flow.makeWhole(shapes[i]![axis]!))]);
      continue;
    }
    for (const one of own) {
      if (one) flow.join(channels, one);
      else flow.keepWhole(channels);
    }
    result.push([axis, channels]);
  }
  flow.setAxes(node.outputs[0]!, result);
  return true;
}

/**
 * One channel becomes several places of a longer axis, or moves to another axis of the same length. An axis that is
 * split is left whole, and so is one that becomes the batch.
 */
function regroup(node: Node, flow: ChannelFlow): boolean {
  const [before, after] = [flow.shapeOf(node.inputs[0]), flow.shapeOf(node.outputs[0])];
  const axes = flow.axesOf(node.inputs[0]);
  if (axes.size === 0) return true;
  if (!before || !after || (node.opType === 'Reshape' && !flow.graph.initializers.has(node.inputs[1]!))) return false;
  const result: [number, Channels][] = [];
  for (const [axis, channels] of axes) {
    const inner = elementCount(before.slice(axis + 1));
    const to = after.findIndex((size, at) => {
      const step = elementCount(after.slice(at + 1));
      return at > 0 && size > 1 && inner % step === 0 && (size * step) % (inner * channels.length) === 0;
    });
    if (axis === 0 || to < 0) return false;
    const step = elementCount(after.slice(to + 1));
    const places = Array.from(
      { length: after[to]! },
      (_, i) => channels[Math.floor((i * step) / inner) % channels.length]!,
    );
    result.push([to, places]);
  }
  flow.setAxes(node.outputs[0]!, result);
  return true;
}
