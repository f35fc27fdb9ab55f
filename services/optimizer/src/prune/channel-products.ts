import type { Node } from '@modelmill/onnx';
import type { ChannelFlow, ChannelRule, Channels } from './channel-flow.js';
import { intAttribute } from '../constant-of.js';

/** Layers that make channels of their own, from all channels they read. */
export const productRules: Readonly<Record<string, ChannelRule>> = {
  Conv: convolution,
  ConvTranspose: convolution,
  Gemm: gemm,
  MatMul: matMul,
  Attention: attention,
};

function convolution(node: Node, flow: ChannelFlow): boolean {
  const [x, w, bias = ''] = node.inputs as [string, string, string?];
  const weights = flow.graph.initializers.get(w);
  const width = flow.shapeOf(x)?.[1];
  if (weights?.dataType !== 'float' || width === undefined || (bias !== '' && !flow.isConstant(bias))) return false;
  const axes = flow.axesOf(x);
  const read = axes.get(1);
  if (axes.size > (read ? 1 : 0)) return false;

  const groups = intAttribute(node, 'group', 1);
  const isTransposed = node.opType === 'ConvTranspose';
  const each = isTransposed ? weights.dims[1]! : weights.dims[0]! / groups;
  const made = isDepthwise(groups, width) ? spread(flow, read, width, each) : evenly(flow, each, groups);
  if (read && !isDepthwise(groups, width)) {
    joinGroups(flow, read, groups);
    flow.read(node, w, isTransposed ? 0 : 1, isTransposed ? read : read.slice(0, width / groups), true);
  }
  if (!isTransposed) flow.read(node, w, 0, made, true);
  else if (!isDepthwise(groups, width)) flow.read(node, w, 1, made.slice(0, each), true);
  else if (read) flow.read(node, w, 0, read, true);
  if (bias !== '') flow.read(node, bias, 0, made);
  flow.setAxes(node.outputs[0]!, [[1, made]]);
  return true;
}

/** Whether each channel is convolved by itself; removing it removes its group. */
export const isDepthwise = (groups: number, channels: number): boolean => groups > 1 && groups === channels;

/** A depthwise convolution makes `each` channels of every one it reads. */
const spread = (flow: ChannelFlow, read: Channels | undefined, width: number, each: number): Channels =>
  (read ?? flow.makeWhole(width)).flatMap((channel) => Array<number>(each).fill(channel));

/** Groups stay equally wide: the k-th channels of all groups go together. */
function evenly(flow: ChannelFlow, each: number, groups: number): Channels {
  const made = flow.make(each * groups);
  joinGroups(flow, made, groups);
  return made;
}

function joinGroups(flow: ChannelFlow, channels: Channels, groups: number): void {
  const each = channels.length / groups;
  for (let group = 1; group < groups; group++) {
    flow.join(channels.slice(0, each), channels.slice(group * each, (group + 1) * each));
  }
}

function gemm(node: Node, flow: ChannelFlow): boolean {
  const [x, w, bias = ''] = node.inputs as [string, string, string?];
  const weights = flow.graph.initializers.get(w);
  const axes = flow.axesOf(x);
  const read = axes.get(1);
  if (weights?.dataType !== 'float' || intAttribute(node, 'transA', 0) !== 0 || axes.size > (read ? 1 : 0))
    return false;
  if (bias !== '' && !flow.isConstant(bias)) return false;
  const outAxis = 1 - intAttribute(node, 'transB', 0);
  const made = flow.make(weights.dims[outAxis]!);
  if (read) flow.read(node, w, 1 - outAxis, read, true);
  flow.read(node, w, outAxis, made, true);
  const last = (flow.shapeOf(bias)?.length ?? 0) - 1;
  if (last >= 0 && flow.shapeOf(bias)![last]! > 1 && !flow.read(node, bias, last, made)) flow.keepWhole(made);
  flow.setAxes(node.outputs[0]!, [[1, made]]);
  return true;
}

/** By a constant matrix on the right; channels on other axes than the last go through. */
function matMul(node: Node, flow: ChannelFlow): boolean {
  const [x, w] = node.inputs as [string, string];
  const weights = flow.graph.initializers.get(w);
  const rank = flow.shapeOf(x)?.length;
  if (!weights) return productOfBoth(node, flow);
  if (weights.dataType !== 'float' || weights.dims.length !== 2 || rank === undefined || rank < 2) return false;
  const axes = flow.axesOf(x);
  const read = axes.get(rank - 1);
  const made = flow.make(weights.dims[1]!);
  if (read) flow.read(node, w, 0, read, true);
  flow.read(node, w, 1, made, true);
  flow.setAxes(node.outputs[0]!, [...[...axes].filter(([axis]) => axis !== rank - 1), [rank - 1, made]]);
  return true;
}

/** Matrices of which none or the left one is constant: axes in front, such as attention heads, meet one by one. */
function productOfBoth(node: Node, flow: ChannelFlow): boolean {
  const [a, b] = node.inputs as [string, string];
  const [rankOfA = 0, rankOfB = 0] = [a, b].map((input) => flow.shapeOf(input)?.length);
  const shape = flow.shapeOf(node.outputs[0]);
  if (!shape || rankOfA < 2 || rankOfB < 2) return false;
  const axes = linedUp(node, flow, shape, shape.length - 2);
  if (!axes) return false;
  const [left, right] = [flow.axesOf(a), flow.axesOf(b)];
  const [summed, along] = [left.get(rankOfA - 1), right.get(rankOfB - 2)];
  if (summed && along) flow.join(summed, along);
  else if (summed && !flow.read(node, b, rankOfB - 2, summed, true)) flow.keepWhole(summed);
  else if (along && !flow.read(node, a, rankOfA - 1, along, true)) flow.keepWhole(along);
  const [rows, columns] = [left.get(rankOfA - 2), right.get(rankOfB - 1)];
  if (rows) axes.push([shape.length - 2, rows]);
  if (columns) axes.push([shape.length - 1, columns]);
  flow.setAxes(node.outputs[0]!, axes);
  return true;
}

/** Heads that lie apart, in four axes: those of queries, keys and values go together. */
function attention(node: Node, flow: ChannelFlow): boolean {
  const [q, k, v, mask = '', ...past] = node.inputs as [string, string, string, string?, ...string[]];
  const sides = [q, k, v].map((name) => ({ shape: flow.shapeOf(name), axes: flow.axesOf(name) }));
  const heads = sides[0]!.shape?.[1];
  const masked = mask === '' ? [] : flow.shapeOf(mask);
  if (!masked || past.some((name) => name !== '') || node.outputs.slice(1).some((name) => name !== '')) return false;
  if (
    sides.some(
      ({ shape, axes }) => shape?.length !== 4 || shape[1] !== heads || [...axes.keys()].some((axis) => axis !== 1),
    )
  ) {
    return false;
  }
  const channels = sides.map(({ axes }) => axes.get(1)).find((own) => own !== undefined);
  if (!channels) return flow.axesOf(mask).size === 0;
  const isMaskedByHead = (masked.at(-3) ?? 1) > 1;
  for (const { axes } of sides) {
    const own = axes.get(1);
    if (own) flow.join(channels, own);
    else flow.keepWhole(channels);
  }
  if (isMaskedByHead || flow.axesOf(mask).size > 0) flow.keepWhole(channels);
  flow.setAxes(node.outputs[0]!, [[1, channels]]);
  return true;
}

/**
 * Channels of operands whose axes line up from the last, along the first `count` axes of the result; undefined where a
 * shape is unknown.
 */
export function linedUp(
  node: Node,
  flow: ChannelFlow,
  shape: readonly number[],
  count: number,
): [number, Channels][] | undefined {
  const operands = node.inputs.map((name) => ({ name, shape: flow.shapeOf(name), axes: flow.axesOf(name) }));
  if (operands.some((operand) => !operand.shape)) return undefined;
  const result: [number, Channels][] = [];
  for (const [axis, size] of shape.slice(0, count).entries()) {
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
  return result;
}
