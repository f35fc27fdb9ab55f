import { attribute } from '@modelmill/onnx';
import type { Node } from '@modelmill/onnx';
import { isLeftOut } from '../constant-of.js';
import { listOf, numbersOf } from './numbers-of.js';
import { isOperator } from './scope.js';
import type { Scope } from './scope.js';

/** Zeros that are put around what a convolution takes become its own padding. */
export function foldPads(scope: Scope): number {
  return scope.each((node) => {
    const conv = isOperator(node, 'Pad') ? scope.onlyReader(node) : undefined;
    if (!conv || !isOperator(conv, 'Conv') || conv.inputs[0] !== node.outputs[0]) return false;
    const around = zerosAround(scope, node);
    const rank = scope.constant(conv.inputs[1])?.dims.length;
    const own = ownPads(conv, rank);
    if (!around || !own || rank === undefined || around.length !== 2 * rank) return false;
    const [before, after] = [around.slice(0, rank), around.slice(rank)];
    const isSpatial = [before, after].every((sizes) => sizes.slice(0, 2).every((size) => size === 0));
    if (!isSpatial || around.some((size) => size < 0)) return false;
    const sum = [...before.slice(2), ...after.slice(2)].map((size, i) => size + own[i]!);
    const [input] = node.inputs as [string];
    scope.change(conv, (one) => {
      one.inputs = [input, ...one.inputs.slice(1)];
      one.attributes.set('pads', attribute(sum));
      one.attributes.delete('auto_pad');
    });
    scope.remove(node);
    return true;
  });
}

/** The sizes at the begin and the end of every axis; undefined where it is not by zeros. */
function zerosAround(scope: Scope, node: Node): readonly number[] | undefined {
  const mode = node.attributes.get('mode');
  const value = node.attributes.get('value');
  const isZero = value?.kind === 'float' ? value.value === 0 : isZeroInput(scope, node.inputs[2]);
  const isConstant = mode === undefined || (mode.kind === 'string' && mode.value === 'constant');
  return isConstant && isZero && isLeftOut(node.inputs[3]) ? listOf(scope, node, 'pads', 1) : undefined;
}

const isZeroInput = (scope: Scope, name: string | undefined): boolean =>
  isLeftOut(name) || numbersOf(scope.constant(name))?.[0] === 0;

function ownPads({ attributes }: Node, rank = 2): readonly number[] | undefined {
  const auto = attributes.get('auto_pad');
  if (auto?.kind === 'string' && !['NOTSET', 'VALID'].includes(auto.value)) return undefined;
  const pads = attributes.get('pads');
  return pads?.kind === 'ints' ? pads.value : Array<number>(2 * (rank - 2)).fill(0);
}
