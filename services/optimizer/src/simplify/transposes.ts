import { attribute, makeNode } from '@modelmill/onnx';
import type { Node } from '@modelmill/onnx';
import { isOperator } from './scope.js';
import type { Scope } from './scope.js';

/** Operators that do the same to every element, wherever it is. */
const elementWise =
  'Abs Cast Ceil Elu Erf Exp Floor Gelu HardSigmoid HardSwish LeakyRelu Log Mish Neg Reciprocal Relu Round Selu Sigmoid Sign Softplus Softsign Sqrt Tanh'.split(
    ' ',
  );

/** Two transpositions, one after the other or around operators that do not mind, become one. */
export function mergeTransposes(scope: Scope): number {
  return scope.each(
    (node) => isOperator(node, 'Transpose') && (mergeWithSource(scope, node) || mergeAcross(scope, node)),
  );
}

function mergeWithSource(scope: Scope, node: Node): boolean {
  const source = scope.producer(node.inputs[0]!);
  if (!isOperator(source, 'Transpose')) return false;
  const perm = composed(permOf(scope, source), permOf(scope, node));
  if (!perm) return false;
  scope.change(node, (one) => {
    one.inputs = [source.inputs[0]!];
    one.attributes.set('perm', attribute(perm));
  });
  if (scope.readers(source.outputs[0]!).length === 0 && !scope.isHeld(source.outputs[0]!)) scope.remove(source);
  return true;
}

/** x → Transpose → f → Transpose is x → f → Transpose. */
function mergeAcross(scope: Scope, first: Node): boolean {
  const between: Node[] = [];
  let next = scope.onlyReader(first);
  while (isOperator(next, ...elementWise)) {
    between.push(next);
    next = scope.onlyReader(next);
  }
  if (!isOperator(next, 'Transpose') || between.length === 0) return false;
  const last = next;
  const perm = composed(permOf(scope, first), permOf(scope, last));
  if (!perm) return false;
  let value = first.inputs[0]!;
  scope.change(last, (one) => one.attributes.set('perm', attribute(perm)));
  // values between have other shapes now, so they have other names
  for (const node of between) {
    const turned = scope.freshName(`${node.outputs[0]}_unturned`);
    const input = value;
    scope.change(node, (one) => {
      one.inputs = [input, ...one.inputs.slice(1)];
      one.outputs = [turned];
    });
    value = turned;
  }
  scope.change(last, (one) => (one.inputs = [value]));
  scope.remove(first);
  return true;
}

/** What f(Transpose(a), Transpose(b)) is: Transpose(f(a, b)), where nothing else reads them. */
export function raiseTransposes(scope: Scope): number {
  return scope.each((node) => {
    if (!isOperator(node, 'Add', 'Sub', 'Mul', 'Div', 'Max', 'Min', 'Sum') || node.inputs.length !== 2) return false;
    const turns = node.inputs.map((input) => scope.producer(input));
    const perms = turns.map((turn) => (isOperator(turn, 'Transpose') ? permOf(scope, turn) : undefined));
    const isAlone = turns.every((turn) => turn && scope.onlyReader(turn) === node);
    const [perm, other] = perms;
    if (!perm || perm.join() !== other?.join() || !isAlone || turns[0] === turns[1]) return false;
    const [output] = node.outputs as [string];
    const inner = scope.freshName(`${output}_unturned`);
    const sources = turns.map((turn) => turn!.inputs[0]!);
    scope.change(node, (one) => {
      one.inputs = sources;
      one.outputs = [inner];
    });
    for (const turn of turns) scope.remove(turn!);
    scope.add(makeNode('Transpose', [inner], [output], { perm: attribute(perm) }));
    return true;
  });
}

function permOf({ known }: Scope, node: Node): readonly number[] | undefined {
  const perm = node.attributes.get('perm');
  if (perm?.kind === 'ints') return perm.value;
  const rank = known.shape(node.inputs[0]!)?.length;
  return rank === undefined ? undefined : Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
}

function composed(first: readonly number[] | undefined, second: readonly number[] | undefined) {
  if (!first || first.length !== second?.length) return undefined;
  return second.map((axis) => first[axis]!);
}
