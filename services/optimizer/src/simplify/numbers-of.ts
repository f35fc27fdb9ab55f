import { floatsOf, intsOf } from '@modelmill/onnx';
import type { Node, Tensor } from '@modelmill/onnx';
import type { Scope } from './scope.js';

/** The numbers of a constant of floats or integers; undefined of another type. */
export function numbersOf(tensor: Tensor | undefined): readonly number[] | undefined {
  switch (tensor?.dataType) {
    case 'float':
    case 'double':
      return Array.from(floatsOf(tensor));
    case 'int64':
    case 'int32':
    case 'bool':
      return intsOf(tensor);
    default:
      return undefined;
  }
}

/** A list that older operator sets have as an attribute, and later ones as a constant input. */
export function listOf(scope: Scope, node: Node, name: string, position: number): readonly number[] | undefined {
  const found = node.attributes.get(name);
  return found?.kind === 'ints' ? found.value : numbersOf(scope.constant(node.inputs[position]));
}
