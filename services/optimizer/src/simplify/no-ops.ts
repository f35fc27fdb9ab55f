import { dataTypes } from '@modelmill/onnx';
import type { Node } from '@modelmill/onnx';
import { intAttribute, isLeftOut } from '../constant-of.js';
import { isStored } from './channel-layers.js';
import { listOf, numbersOf } from './numbers-of.js';
import type { Scope } from './scope.js';

type DoesNothing = (node: Node, scope: Scope) => boolean;

const always: DoesNothing = () => true;
const keepsShape: DoesNothing = ({ inputs, outputs }, { known }) => known.isSameShape(inputs[0]!, outputs[0]!);
const ofOne: DoesNothing = ({ inputs }) => inputs.length === 1;

/** Where operators give their first input, or the one that is no such constant, unchanged. */
const noOps: Readonly<Record<string, DoesNothing>> = {
  Identity: always,
  Dropout: ({ inputs, outputs }, scope) => {
    const mode = inputs[2];
    const isInference = isLeftOut(mode) || numbersOf(scope.constant(mode))?.[0] === 0;
    const mask = outputs[1] ?? '';
    return isInference && (mask === '' || (scope.readers(mask).length === 0 && !scope.isHeld(mask)));
  },
  Cast: (node, { known }) => {
    const from = known.dataType(node.inputs[0]!);
    return from !== undefined && dataTypes[from] === intAttribute(node, 'to', 0);
  },
  Reshape: keepsShape,
  Flatten: keepsShape,
  Squeeze: keepsShape,
  Expand: keepsShape,
  Tile: keepsShape,
  Split: (node, scope) => node.outputs.length === 1 && keepsShape(node, scope),
  Slice: (node, scope) => {
    const steps = listOf(scope, node, 'steps', 4);
    const isForward = steps ? steps.every((step) => step > 0) : isLeftOut(node.inputs[4]);
    return isForward && keepsShape(node, scope);
  },
  Pad: (node, scope) => listOf(scope, node, 'pads', 1)?.every((size) => size === 0) ?? false,
  Transpose: (node, { known }) => {
    const perm = node.attributes.get('perm');
    if (perm?.kind === 'ints') return perm.value.every((from, axis) => from === axis);
    return (known.shape(node.inputs[0]!)?.length ?? 2) < 2;
  },
  Concat: ofOne,
  Sum: ofOne,
  Mean: ofOne,
  Max: ofOne,
  Min: ofOne,
};

/** Arithmetic with a number that changes nothing; on which side it may stand. */
const neutral: Readonly<Record<string, { readonly number: number; readonly sides: readonly number[] }>> = {
  Add: { number: 0, sides: [0, 1] },
  Sub: { number: 0, sides: [1] },
  Mul: { number: 1, sides: [0, 1] },
  Div: { number: 1, sides: [1] },
  Pow: { number: 1, sides: [1] },
};

/** Takes nodes out that give what they are given. */
export function removeNoOps(scope: Scope): number {
  return scope.each((node) => {
    const same = node.domain === '' ? unchanged(node, scope) : undefined;
    return same !== undefined && scope.dissolve(node, same);
  });
}

function unchanged(node: Node, scope: Scope): string | undefined {
  const [first] = node.inputs;
  if (isLeftOut(first)) return undefined;
  const rule = Object.hasOwn(noOps, node.opType) ? noOps[node.opType] : undefined;
  if (rule?.(node, scope)) return first;
  const arithmetic = Object.hasOwn(neutral, node.opType) ? neutral[node.opType] : undefined;
  if (!arithmetic || node.inputs.length !== 2) return undefined;
  const { number, sides } = arithmetic;
  const side = sides.find((at) => isAll(node.inputs[at]!, number, scope));
  const other = side === undefined ? undefined : node.inputs[1 - side];
  // what training may change is no number that changes nothing
  return other !== undefined && scope.known.isSameShape(other, node.outputs[0]!) ? other : undefined;
}

const isAll = (value: string, number: number, scope: Scope) =>
  isStored(scope, value) &&
  !scope.isTrained(value) &&
  (numbersOf(scope.constant(value))?.every((one) => one === number) ?? false);
