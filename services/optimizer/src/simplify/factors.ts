import type { Node } from '@modelmill/onnx';
import { intAttribute } from '../constant-of.js';
import { isOwnConstant } from './biases.js';
import { channelLayer, perChannel, scaledAlong, setConstants } from './channel-layers.js';
import type { ChannelLayer } from './channel-layers.js';
import { isOperator } from './scope.js';
import type { Scope } from './scope.js';

/** Constants that a layer's output or input is multiplied with or divided by become part of its weights. */
export function foldFactors(scope: Scope): number {
  return scope.each((node) => {
    if (!isOperator(node, 'Mul', 'Div')) return false;
    return (node.opType === 'Mul' ? [0, 1] : [0]).some(
      (side) => foldAfter(scope, node, side) || foldBefore(scope, node, side),
    );
  });
}

function foldAfter(scope: Scope, node: Node, side: number): boolean {
  const layer = channelLayer(scope, scope.producer(node.inputs[side]!));
  if (!layer || scope.onlyReader(layer.node) !== node) return false;
  const factors = factorsOf(scope, node, side, layer);
  if (!factors) return false;
  setConstants(scope, layer, {
    weights: scaledAlong(layer.weights, layer.axis, factors),
    bias: layer.bias?.map((value, c) => value * factors[c]!),
  });
  return scope.dissolve(node, layer.node.outputs[0]!);
}

function foldBefore(scope: Scope, node: Node, side: number): boolean {
  const [output] = node.outputs as [string];
  const input = node.inputs[side]!;
  const layer = channelLayer(scope, scope.onlyReader(node));
  const axis = layer && inputAxis(layer);
  if (!layer || axis === undefined || layer.node.inputs[0] !== output || !scope.known.isSameShape(input, output)) {
    return false;
  }
  const taken = { channels: layer.weights.dims[axis]!, fromEnd: layer.fromEnd };
  const factors = factorsOf(scope, node, side, taken);
  // each group's kernels see channels of their own
  if (!factors || (intAttribute(layer.node, 'group', 1) > 1 && factors.some((one) => one !== factors[0]))) return false;
  setConstants(scope, layer, { weights: scaledAlong(layer.weights, axis, factors), bias: layer.bias });
  return scope.dissolve(node, input);
}

/** The axis of the weights that runs along the input's channels. */
function inputAxis({ node, axis }: ChannelLayer): number | undefined {
  if (node.opType === 'Gemm' && intAttribute(node, 'transA', 0) !== 0) return undefined;
  return 1 - axis;
}

function factorsOf(
  scope: Scope,
  node: Node,
  side: number,
  place: { readonly channels: number; readonly fromEnd: number },
): Float32Array | undefined {
  const name = node.inputs[1 - side]!;
  const found = isOwnConstant(scope, name) ? perChannel(scope.constant(name), place) : undefined;
  const factors = node.opType === 'Div' ? found?.map((value) => 1 / value) : found;
  return factors?.every(Number.isFinite) ? factors : undefined;
}
