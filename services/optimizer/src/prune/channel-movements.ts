import { elementCount, intsOf } from '@modelmill/onnx';
import type { Node } from '@modelmill/onnx';
import type { ChannelFlow, ChannelRule, Channels } from './channel-flow.js';
import { intAttribute } from '../constant-of.js';

const reshapes = 'Reshape Flatten Squeeze Unsqueeze';
const reductions = 'ReduceMean ReduceSum ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceProd ReduceSumSquare';

const all = (names: string, rule: ChannelRule) => Object.fromEntries(names.split(' ').map((name) => [name, rule]));

/** Operators that make nothing of their own: channels come to lie elsewhere, or are left out of account. */
export const movementRules: Readonly<Record<string, ChannelRule>> = {
  ...all(reshapes, regroup),
  ...all(reductions, reduction),
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
  Split: split,
  Shape: shapeRead,
};

/**
 * One channel becomes several places of a longer axis, or moves to another axis of the same length. An axis that is
 * split goes by its parts. One that becomes the batch is left whole.
 */
function regroup(node: Node, flow: ChannelFlow): boolean {
  const [before, after] = [flow.shapeOf(node.inputs[0]), flow.shapeOf(node.outputs[0])];
  const axes = flow.axesOf(node.inputs[0]);
  if (axes.size === 0) return true;
  if (!before || !after || (node.opType === 'Reshape' && !flow.isConstant(node.inputs[1]))) return false;
  const result = new Map<number, Channels>();
  for (const [axis, channels] of axes) {
    if (axis === 0) return false;
    const inner = elementCount(before.slice(axis + 1));
    const [to, places] =
      joined(after, channels, inner) ?? parted(after, channels, inner, (a, b) => flow.join([a], [b])) ?? [];
    if (to === undefined || !places || result.has(to)) return false;
    result.set(to, places);
  }
  flow.setAxes(node.outputs[0]!, result);
  return true;
}

/** Where channels of `inner` numbers each lie whole along one axis. */
function joined(after: readonly number[], channels: Channels, inner: number): [number, Channels] | undefined {
  const to = after.findIndex((size, at) => {
    const step = elementCount(after.slice(at + 1));
    return at > 0 && size > 1 && inner % step === 0 && (size * step) % (inner * channels.length) === 0;
  });
  if (to < 0) return undefined;
  const step = elementCount(after.slice(to + 1));
  const place = (i: number) => channels[Math.floor((i * step) / inner) % channels.length]!;
  return [to, Array.from({ length: after[to]! }, (_, i) => place(i))];
}

/** An axis that is split: all channels of one part go together, as those of an attention head do. */
function parted(
  after: readonly number[],
  channels: Channels,
  inner: number,
  join: (a: number, b: number) => void,
): [number, Channels] | undefined {
  const to = after.findIndex(
    (size, at) =>
      at > 0 && size > 1 && channels.length % size === 0 && elementCount(after.slice(at)) === channels.length * inner,
  );
  if (to < 0) return undefined;
  const each = channels.length / after[to]!;
  channels.forEach((channel, i) => join(channels[i - (i % each)]!, channel));
  return [to, channels.filter((_, i) => i % each === 0)];
}

/** Over other axes than those of channels. */
function reduction(node: Node, flow: ChannelFlow): boolean {
  const rank = flow.shapeOf(node.inputs[0])?.length;
  const axes = flow.axesOf(node.inputs[0]);
  const stated = node.attributes.get('axes');
  const constant = flow.graph.initializers.get(node.inputs[1] ?? '');
  const given = stated?.kind === 'ints' ? stated.value : constant && intsOf(constant);
  if (rank === undefined || !given || given.length === 0) return false;
  const gone = new Set(given.map((axis) => (axis < 0 ? axis + rank : axis)));
  if ([...axes.keys()].some((axis) => gone.has(axis))) return false;
  const isKept = intAttribute(node, 'keepdims', 1) !== 0;
  const moved = (axis: number) => (isKept ? axis : axis - [...gone].filter((other) => other < axis).length);
  flow.setAxes(
    node.outputs[0]!,
    [...axes].map(([axis, channels]) => [moved(axis), channels]),
  );
  return true;
}

/** Each output has its share of the channels, of which it keeps one at least. */
function split(node: Node, flow: ChannelFlow): boolean {
  const along = splitAxis(node, flow);
  const sizes = node.outputs.map((output) => flow.shapeOf(output)?.[along ?? 0]);
  const axes = flow.axesOf(node.inputs[0]);
  if (along === undefined || sizes.includes(undefined)) return false;
  if (axes.has(along) && (node.inputs[1] ?? '') !== '' && !flow.isConstant(node.inputs[1])) return false;
  let from = 0;
  for (const [i, output] of node.outputs.entries()) {
    const to = from + sizes[i]!;
    const own = axes.get(along)?.slice(from, to);
    if (own) flow.part(own);
    flow.setAxes(
      output,
      [...axes].map(([axis, channels]) => [axis, axis === along ? own! : channels]),
    );
    from = to;
  }
  return true;
}

/** Which axis a Split divides; undefined where the rank is unknown. */
export function splitAxis(node: Node, flow: ChannelFlow): number | undefined {
  const rank = flow.shapeOf(node.inputs[0])?.length;
  const axis = intAttribute(node, 'axis', 0);
  return rank === undefined ? undefined : axis < 0 ? axis + rank : axis;
}

/** Sizes of other axes than those of channels may be read. */
function shapeRead(node: Node, flow: ChannelFlow): boolean {
  const rank = flow.shapeOf(node.inputs[0])?.length;
  if (rank === undefined) return false;
  const place = (at: number) => Math.min(Math.max(at < 0 ? at + rank : at, 0), rank);
  const [start, end] = [place(intAttribute(node, 'start', 0)), place(intAttribute(node, 'end', rank))];
  const sized = [...flow.axesOf(node.inputs[0]).keys()].filter((axis) => axis >= start && axis < end);
  if (sized.length > 0 && !isReadElsewhere(node, flow, new Set(sized.map((axis) => axis - start)), end - start)) {
    return false;
  }
  flow.setAxes(node.outputs[0]!, []);
  return true;
}

/** Whether a list of sizes is read one by one, and never at these places. */
function isReadElsewhere(node: Node, { graph }: ChannelFlow, places: ReadonlySet<number>, length: number): boolean {
  const readers = graph.nodes.filter(({ inputs }) => inputs.includes(node.outputs[0]!));
  return readers.every(({ opType, inputs }) => {
    const indices = graph.initializers.get(inputs[1] ?? '');
    if (opType !== 'Gather' || inputs[0] !== node.outputs[0] || !indices) return false;
    return intsOf(indices).every((index) => !places.has(index < 0 ? index + length : index));
  });
}
