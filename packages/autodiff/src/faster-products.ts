import { transpose, turnedMatMul } from './ops.js';
import { isFloat } from './value.js';
import type { Operation, Value } from './value.js';

/** How a product of many small matrices takes an operand. */
interface Operand {
  readonly value: Value;
  readonly turned: boolean;
}

/** Other forms of a step's products. */
export interface FasterProducts {
  /** A batch of products whose operands are turned around by the product itself. */
  product(product: Operation): Value | undefined;
  /** Products that are only taken turned around, as the product of the operands turned around, in the other order. */
  transposed(transposed: Operation): Value | undefined;
}

/**
 * Copying pieces of rows is cheap, turning matrices around is not, and products take them either way: ONNX Runtime sees that
 * for a matrix alone, not for one of many whose other axes are exchanged, too. `operations`: all of the step.
 */
export function fasterProducts(operations: Iterable<Operation>, isUsedOnce: (value: Value) => boolean): FasterProducts {
  const made = new Map<Value, Map<string, Value>>();
  for (const operation of operations) {
    const [x] = operation.inputs;
    if (operation.opType === 'Transpose') transposesOf(x!).set(permOf(operation).join(), operation.outputs[0]!);
  }
  return { product, transposed };

  function product({ inputs }: Operation): Value | undefined {
    const [a, b] = inputs as [Value, Value];
    if (!isFloat(a) || a.shape.length < 3 || b.shape.length < 3) return undefined;
    const [left, right] = [laidOut(a), laidOut(b)];
    if (left.value === a && right.value === b) return undefined;
    return turnedMatMul(left.value, right.value, left.turned, right.turned);
  }

  function transposed(operation: Operation): Value | undefined {
    const perm = permOf(operation);
    const rank = perm.length;
    const [value] = operation.inputs as [Value];
    const found = operationOf(value, 'MatMul');
    const turns = rank > 2 && perm[rank - 1] === rank - 2;
    if (!found || !isFloat(value) || !turns || !isUsedOnce(value) || !isUsedOnce(operation.outputs[0]!))
      return undefined;
    const [a, b] = found.inputs.map((operand) => laidOut(operand!)) as [Operand, Operand];
    if (a.value.shape.length !== rank || b.value.shape.length !== rank) return undefined;
    const exchanged = perm.map((axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis));
    return transpose(turnedMatMul(b.value, a.value, !b.turned, !a.turned), exchanged);
  }

  /** A value with its rows as they lay before its axes were exchanged. */
  function laidOut(value: Value): Operand {
    let base = value;
    let perm = [...value.shape.keys()];
    for (let found = operationOf(base, 'Transpose'); found; found = operationOf(base, 'Transpose')) {
      const before = permOf(found);
      perm = perm.map((axis) => before[axis]!);
      base = found.inputs[0]!;
    }
    const rank = perm.length;
    const turned = perm[rank - 2] === rank - 1;
    const order = turned ? [...perm.slice(0, -2), perm[rank - 1]!, perm[rank - 2]!] : perm;
    const known = transposesOf(base);
    const laid = known.get(order.join()) ?? transpose(base, order);
    known.set(order.join(), laid);
    return { value: laid, turned };
  }

  function transposesOf(base: Value): Map<string, Value> {
    const known = made.get(base) ?? new Map<string, Value>();
    made.set(base, known);
    return known;
  }
}

const permOf = ({ inputs, attributes }: Operation): readonly number[] => {
  const perm = attributes.get('perm');
  return perm?.kind === 'ints' ? perm.value : [...inputs[0]!.shape.keys()].reverse();
};

const operationOf = (value: Value, opType: string): Operation | undefined =>
  value.source.kind === 'operation' && value.source.operation.opType === opType ? value.source.operation : undefined;
