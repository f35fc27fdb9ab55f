import type { Node } from '@modelmill/onnx';
import type { ChannelFlow, ChannelRule, Channels } from './channel-flow.js';
import { movementRules } from './channel-movements.js';
import { linedUp, productRules } from './channel-products.js';
import { intAttribute } from '../constant-of.js';

const elementwise =
  'Relu LeakyRelu Elu Selu Celu Gelu Sigmoid HardSigmoid HardSwish Swish Mish Tanh Softplus Softsign ThresholdedRelu Erf ' +
  'Exp Log Sqrt Reciprocal Abs Neg Sign Floor Ceil Round Clip Identity Dropout Cast Sin Cos';
const broadcasting = 'Add Sub Mul Div Pow Max Min Sum Mean PRelu Where';
const pools = 'MaxPool AveragePool LpPool GlobalMaxPool GlobalAveragePool GlobalLpPool';

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
  ...all('Softmax LogSoftmax', softmax),
  ...productRules,
  ...movementRules,
  BatchNormalization: (node, flow) => perChannel(node, flow, [1, 2, 3, 4]),
  InstanceNormalization: (node, flow) => perChannel(node, flow, [1, 2]),
  LayerNormalization: layerNormalization,
  Concat: concat,
};

/** Operands whose axes line up from the last; one that has no channels there may have a single slice. */
function broadcast(node: Node, flow: ChannelFlow): boolean {
  const shape = flow.shapeOf(node.outputs[0]);
  const axes = shape && linedUp(node, flow, shape, shape.length);
  if (axes) flow.setAxes(node.outputs[0]!, axes);
  return axes !== undefined;
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
