import { operandsOf } from './value.js';
import type { Value } from './value.js';
import { topological } from './topological.js';

const passing: ReadonlySet<string> = new Set(['Add', 'Reshape', 'Transpose', 'Identity', 'Squeeze', 'Flatten']);

/** Whether a weight belongs to a hidden layer: it is no table of an embedding, and not of the layer that ends the graph. */
export function hiddenWeights(output: Value): (weight: Value) => boolean {
  const outer = new Set<Value>();
  for (const value of topological([output])) {
    const { source } = value;
    if (source.kind === 'operation' && source.operation.opType === 'Gather') {
      const [table] = source.operation.inputs;
      if (table) outer.add(table);
    }
  }
  const last = lastProduct(output);
  for (const operand of last ? operandsOf(last) : []) {
    const turned = operand && lastTurned(operand);
    if (turned) outer.add(turned);
  }
  return (weight) => !outer.has(weight);
}

/** The product that gives the output, past what does not mix its numbers. */
function lastProduct(value: Value): Value | undefined {
  const { source } = value;
  if (source.kind !== 'operation') return undefined;
  if (!passing.has(source.operation.opType)) return value;
  for (const operand of source.operation.inputs) {
    const found = operand?.source.kind === 'operation' ? lastProduct(operand) : undefined;
    if (found) return found;
  }
  return undefined;
}

/** A weight, as it is or transposed. */
function lastTurned(value: Value): Value {
  const { source } = value;
  const turned = source.kind === 'operation' && passing.has(source.operation.opType) && source.operation.inputs[0];
  return turned ? lastTurned(turned) : value;
}
