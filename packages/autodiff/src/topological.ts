import { operandsOf } from './value.js';
import type { Value } from './value.js';

/**
 * Every value the roots are computed from, and the roots: operands before their users. Depth is no limit. `operands` says
 * what a value is computed from, where that is not what it was made of.
 */
export function topological(
  roots: readonly Value[],
  operands: (value: Value) => readonly (Value | undefined)[] = operandsOf,
): Value[] {
  const order: Value[] = [];
  const state = new Map<Value, 'open' | 'done'>();
  const stack = [...roots].reverse();
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    const seen = state.get(value);
    if (seen === 'done') continue;
    if (seen === 'open') {
      state.set(value, 'done');
      order.push(value);
      continue;
    }
    state.set(value, 'open');
    stack.push(value);
    for (const operand of [...operands(value)].reverse()) {
      if (operand !== undefined && !state.has(operand)) stack.push(operand);
    }
  }
  return order;
}
