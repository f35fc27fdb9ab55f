import { elementCount, floatTensor, floatsOf } from '@modelmill/onnx';
import type { Node, Tensor } from '@modelmill/onnx';
import { floatOf, intAttribute, isLeftOut } from '../constant-of.js';
import { isOperator } from './scope.js';
import type { Scope } from './scope.js';

/** A layer whose constants another constant can be worked into. */
export interface ChannelLayer {
  readonly node: Node;
  readonly weights: Tensor;
  /** The axis of the weights that runs along the output's channels. */
  readonly axis: number;
  readonly channels: number;
  /** The axis of the output that has the channels, counted from its end. */
  readonly fromEnd: number;
  /** One per channel, Gemm's factor within; undefined where there is none. */
  readonly bias: Float32Array | undefined;
  readonly isTrained: boolean;
}

/**
 * A Conv, ConvTranspose, Gemm, or product of two matrices, with constants that nothing else reads: what layers share stays
 * shared. Undefined otherwise.
 */
export function channelLayer(scope: Scope, node: Node | undefined): ChannelLayer | undefined {
  if (!isOperator(node, 'Conv', 'ConvTranspose', 'Gemm', 'MatMul')) return undefined;
  const weights = ownFloats(scope, node, 1);
  const bias = ownFloats(scope, node, 2);
  const place = weights && placeOf(scope, node, weights.dims);
  if (!place || (!bias && !isLeftOut(node.inputs[2]))) return undefined;
  const channels = weights.dims[place.axis]!;
  const isGemm = node.opType === 'Gemm';
  const biases = bias && (isGemm ? perChannel(bias, { channels, fromEnd: 1 }) : floatsOf(bias));
  if (bias && biases?.length !== channels) return undefined;
  const beta = isGemm ? floatOf(node, 'beta', 1) : 1;
  return {
    node,
    weights,
    ...place,
    channels,
    bias: biases?.map((value) => beta * value),
    isTrained: scope.isTrained(node.inputs[1]!),
  };
}

/** Gives a layer other constants, under names of their own. */
export function setConstants(
  scope: Scope,
  { node, weights, channels, isTrained }: ChannelLayer,
  to: { readonly weights?: Float32Array; readonly bias?: Float32Array | undefined; readonly isTrained?: boolean },
): void {
  const inputs = node.inputs.slice(0, 2);
  if (to.weights) inputs[1] = scope.addConstant(floatTensor(inputs[1]!, weights.dims, to.weights), isTrained);
  if (to.bias) {
    const name = node.inputs[2] || `${node.outputs[0]}_bias`;
    inputs.push(scope.addConstant(floatTensor(name, [channels], to.bias), to.isTrained ?? isTrained));
  }
  scope.change(node, (one) => {
    one.inputs = inputs;
    one.attributes.delete('beta');
  });
}

/** A float constant that this node alone reads. */
function ownFloats(scope: Scope, node: Node, position: number): Tensor | undefined {
  const name = node.inputs[position];
  if (name === undefined || !isStored(scope, name)) return undefined;
  const tensor = scope.constant(name);
  const isOwn = scope.readers(name).length === 1 && !scope.isHeld(name);
  const isOnce = node.inputs.filter((input) => input === name).length === 1;
  return tensor?.dataType === 'float' && isOwn && isOnce ? tensor : undefined;
}

/** Whether a constant stands in the file; what is still computed may come of weights that are trained. */
export const isStored = (scope: Scope, name: string): boolean =>
  scope.graph.initializers.has(name) || isOperator(scope.producer(name), 'Constant');

function placeOf(scope: Scope, node: Node, dims: readonly number[]): { axis: number; fromEnd: number } | undefined {
  switch (node.opType) {
    case 'Conv':
      return { axis: 0, fromEnd: dims.length - 1 };
    case 'ConvTranspose':
      return intAttribute(node, 'group', 1) === 1 ? { axis: 1, fromEnd: dims.length - 1 } : undefined;
    case 'Gemm':
      return dims.length === 2 ? { axis: 1 - intAttribute(node, 'transB', 0), fromEnd: 1 } : undefined;
    default:
      return dims.length === 2 && !scope.constant(node.inputs[0]) ? { axis: 1, fromEnd: 1 } : undefined;
  }
}

/** A constant that is one number, or one per channel of what it meets; undefined where it is neither. */
export function perChannel(tensor: Tensor | undefined, { channels, fromEnd }: { channels: number; fromEnd: number }) {
  if (tensor?.dataType !== 'float') return undefined;
  const at = tensor.dims.length - fromEnd;
  const isAlong = tensor.dims.every((size, axis) => size === 1 || (axis === at && size === channels));
  // more axes than the layer gives would give the sum more, too
  return isAlong && tensor.dims.length <= rankOf(fromEnd) ? spread(floatsOf(tensor), channels) : undefined;
}

/** Channels are on axis 1 of what convolutions give, and on the last of what products do. */
const rankOf = (fromEnd: number) => fromEnd + 1;

function spread(values: Float32Array, channels: number): Float32Array | undefined {
  if (values.length === channels) return values;
  return values.length === 1 ? new Float32Array(channels).fill(values[0]!) : undefined;
}

/** Each weight by the factor of its place along an axis. */
export function scaledAlong(weights: Tensor, axis: number, factors: Float32Array): Float32Array {
  const values = floatsOf(weights);
  const inner = elementCount(weights.dims.slice(axis + 1));
  return values.map((value, i) => value * factors[Math.floor(i / inner) % factors.length]!);
}
