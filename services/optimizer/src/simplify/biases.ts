import type { Node } from '@modelmill/onnx';
import { floatConstantOf, intAttribute } from '../constant-of.js';
import { channelLayer, isStored, perChannel, setConstants } from './channel-layers.js';
import type { ChannelLayer } from './channel-layers.js';
import { isOperator } from './scope.js';
import type { Scope } from './scope.js';

/** Constants that are added to every output channel of a layer become its bias; a product of matrices becomes a Gemm. */
export function foldBiases(scope: Scope): number {
  return scope.each((node) => {
    if (!isOperator(node, 'Add', 'Sub')) return false;
    return (node.opType === 'Add' ? [0, 1] : [0]).some((side) => foldBias(scope, node, side));
  });
}

function foldBias(scope: Scope, node: Node, side: number): boolean {
  const layer = channelLayer(scope, scope.producer(node.inputs[side]!));
  const name = node.inputs[1 - side]!;
  if (!layer || scope.onlyReader(layer.node) !== node || !isOwnConstant(scope, name)) return false;
  const added = perChannel(scope.constant(name), layer);
  if (!added || !canHaveBias(scope, layer)) return false;
  if (added.some((value) => !Number.isFinite(value))) return false; // a mask, which is no weight
  const { bias, isTrained } = layer;
  const sign = node.opType === 'Add' ? 1 : -1;
  if (layer.node.opType === 'MatMul') scope.change(layer.node, (one) => (one.opType = 'Gemm'));
  setConstants(scope, layer, {
    bias: added.map((value, c) => (bias?.[c] ?? 0) + sign * value),
    isTrained: isTrained || scope.isTrained(name),
  });
  return scope.dissolve(node, layer.node.outputs[0]!);
}

/** What training changes and others read as well stays one constant. */
export const isOwnConstant = (scope: Scope, name: string): boolean =>
  isStored(scope, name) && (!scope.isTrained(name) || (scope.readers(name).length === 1 && !scope.isHeld(name)));

/** A Gemm multiplies matrices and nothing wider. */
const canHaveBias = (scope: Scope, { node }: ChannelLayer): boolean =>
  node.opType !== 'MatMul' || scope.known.shape(node.inputs[0]!)?.length === 2;

/** Products of matrices that are normalized become Gemms, which can take the normalization in. */
export function normalizedAsGemm(scope: Scope): number {
  return scope.each((node) => {
    const layer = isOperator(node, 'MatMul') ? channelLayer(scope, node) : undefined;
    const norm = layer && scope.onlyReader(node);
    if (!norm || !isOperator(norm, 'BatchNormalization') || !canHaveBias(scope, layer)) return false;
    const isConstant = norm.inputs.slice(1).every((name) => floatConstantOf(scope.graph, name));
    if (!isConstant || intAttribute(norm, 'training_mode', 0) !== 0) return false;
    scope.change(node, (one) => (one.opType = 'Gemm'));
    return true;
  });
}
