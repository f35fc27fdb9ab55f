import { int64Tensor } from '@modelmill/onnx';
import type { Node } from '@modelmill/onnx';
import { isOperator } from './scope.js';
import type { Scope } from './scope.js';

const reshaping = ['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'] as const;

/** One reshaping after the other is one: what lies between has the same elements in the same order. */
export function mergeReshapes(scope: Scope): number {
  return scope.each((node) => {
    const source = isOperator(node, ...reshaping) ? scope.producer(node.inputs[0]!) : undefined;
    if (!isOperator(source, ...reshaping)) return false;
    const input = source.inputs[0]!;
    if (!reshapeTo(scope, node, input)) return false;
    const [between] = source.outputs as [string];
    if (scope.readers(between).length === 0 && !scope.isHeld(between)) scope.remove(source);
    return true;
  });
}

/** Shapes that are computed while the model runs become constants, with -1 or 0 in place of an open size. */
export function fixShapes(scope: Scope): number {
  return scope.each((node) => {
    if (!isOperator(node, 'Reshape') || scope.constant(node.inputs[1])) return false;
    const shape = node.inputs[1]!;
    if (!reshapeTo(scope, node, node.inputs[0]!)) return false;
    const source = scope.producer(shape);
    if (source && source.outputs.every((value) => scope.readers(value).length === 0 && !scope.isHeld(value))) {
      scope.remove(source);
    }
    return true;
  });
}

/** Makes a node the Reshape of a value to the shape that its output has. */
function reshapeTo(scope: Scope, node: Node, input: string): boolean {
  const target = targetOf(scope, input, node.outputs[0]!);
  if (!target) return false;
  const shape = scope.addConstant(int64Tensor(`${node.outputs[0]}_shape`, [target.length], target), false);
  scope.change(node, (one) => {
    one.opType = 'Reshape';
    one.inputs = [input, shape];
    one.attributes.clear();
  });
  return true;
}

/** What a Reshape is to be told: open sizes are those at the same place of the input (0), and one of them what is left (-1). */
function targetOf({ known }: Scope, input: string, output: string): number[] | undefined {
  const shape = known.shape(output);
  if (!shape || shape.includes(0)) return undefined;
  const rank = known.shape(input)?.length ?? 0;
  const opened = shape.flatMap((size, axis) => (size === undefined ? [axis] : []));
  const copied = opened.filter((axis) => axis < rank && known.isSameSize(input, axis, output, axis));
  const left = opened.filter((axis) => !copied.includes(axis));
  // -1 rather than 0 where there is a choice: it is understood wherever the size goes from here
  const rest = left[0] ?? copied[0];
  if (left.length > 1) return undefined;
  return shape.map((size, axis) => size ?? (axis === rest ? -1 : 0));
}
