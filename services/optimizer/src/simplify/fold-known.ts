import { elementCount } from '@modelmill/onnx';
import type { Node } from '@modelmill/onnx';
import { isStored } from './channel-layers.js';
import { isRandom } from './duplicates.js';
import { isOperator } from './scope.js';
import type { Scope } from './scope.js';

/** What is larger may make the file grow, which `foldInRunner` bounds. */
const mostElements = 64;

/** Small values that follow from constants, and from sizes that are not open, become constants. */
export function foldKnown(scope: Scope): number {
  return scope.each((node) => {
    const [output] = node.outputs as [string];
    if (node.outputs.length !== 1 || node.opType === 'Constant' || scope.isHeld(output)) return false;
    const value = scope.known.constant(output);
    if (!value || elementCount(value.dims) > mostElements || !isFixed(scope, node)) return false;
    const name = scope.addConstant({ ...value, name: output }, node.inputs.some(scope.isTrained));
    return scope.dissolve(node, name);
  });
}

/** Whether nothing that training changes is behind a node, but its own weights. */
const isFixed = (scope: Scope, node: Node): boolean =>
  ['Shape', 'Size'].includes(node.opType) ||
  (mayBeFolded(scope, node) &&
    node.inputs.every((name) => name === '' || isStored(scope, name) || scope.known.dataType(name) !== 'float'));

/** Weights that others read, too, stay what they are, so that they stay the same for all. */
export const mayBeFolded = (scope: Scope, node: Node): boolean =>
  !isRandom(node) &&
  node.inputs.every(
    (name) =>
      name === '' ||
      !isStored(scope, name) ||
      !scope.isTrained(name) ||
      (scope.readers(name).length === 1 && !scope.isHeld(name)),
  );

/**
 * `Constant` nodes become initializers, unless they are floats with an axis: those would be trained, and training leaves
 * what a node makes alone.
 */
export function storeConstants(scope: Scope): number {
  return scope.each((node) => {
    const [output] = node.outputs as [string];
    const value = isOperator(node, 'Constant') ? scope.known.constant(output) : undefined;
    if (!value || scope.isHeld(output) || (value.dataType === 'float' && value.dims.length > 0)) return false;
    return scope.dissolve(node, scope.addConstant({ ...value, name: output }, false));
  });
}
