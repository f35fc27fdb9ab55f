import { add, expand, gather, make, mul, reshape, slice, sumSquare, zeros } from './ops.js';
import { constant, ints } from './value.js';
import type { Shape, TableRows, Value } from './value.js';

/** Updates in the place of what is at positions [positions…, depth], or added to it. */
export const scatterND = (to: Value, at: Value, updates: Value, reduction?: 'add'): Value =>
  make(
    'ScatterND',
    [to, at, updates],
    to.shape,
    updates.dataType,
    reduction ? { reduction: { kind: 'string', value: reduction } } : {},
  );

/**
 * A table of zeros to which rows [count, …] at positions [count, 1] are added, those of one position first: `addUp` does that in
 * a table of as many rows as there are. Each of them then writes the whole sum.
 */
export function tableOfSums(shape: Shape, at: Value, added: Value, addUp: AddUp): Value {
  const count = at.shape[0]!;
  const stands = gather(lastAt(shape[0]!, at), reshape(at, [count]), 0);
  const sums = addUp(count, reshape(stands, [count, 1]));
  return table(shape, { at, values: gather(sums, stands, 0), sums, added });
}

/** What is added, in a table of so many rows, at positions [count, 1]. */
type AddUp = (length: number, at: Value) => Value;

/** Rows that ONNX Runtime 1.30 still writes on one thread, in order. */
const writtenAtOnce = 8_192;

/** For each position the last row that goes there: it stands for all of them, the same one every time. */
function lastAt(length: number, at: Value): Value {
  const count = at.shape[0]!;
  let last = expand(constant([0], [], 'int64'), [length]);
  for (let start = 0; start < count; start += writtenAtOnce) {
    const end = Math.min(count, start + writtenAtOnce);
    const rows = ints(Array.from({ length: end - start }, (_, i) => start + i));
    last = scatterND(last, count === end - start ? at : slice(at, [{ axis: 0, start, end, step: 1 }]), rows);
  }
  return last;
}

function table(shape: Shape, rows: TableRows): Value {
  const made = scatterND(zeros(shape), rows.at, rows.values);
  made.rows = rows;
  return made;
}

/** As add(to, g); of a table of zeros only the rows that are none are touched. */
export function plus(to: Value, g: Value): Value {
  if (!g.rows) return add(to, g);
  const { at, values } = g.rows;
  return scatterND(to, at, add(gather(to, reshape(at, [at.shape[0]!]), 0), values));
}

const eachRow = (g: Value, change: (rows: Value) => Value): Value =>
  g.rows
    ? table(g.shape, { at: g.rows.at, values: change(g.rows.values), sums: change(g.rows.sums), added: undefined })
    : change(g);

export const scaled = (g: Value, scale: Value): Value => eachRow(g, (rows) => mul(rows, scale));
export const squared = (g: Value): Value => eachRow(g, (rows) => mul(rows, rows));
export const sumOfSquares = (g: Value): Value => sumSquare(g.rows?.sums ?? g);
