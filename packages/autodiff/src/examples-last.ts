import { reshape, transpose } from './ops.js';
import { size } from './value.js';
import type { Shape, Value } from './value.js';

const turned = new WeakMap<Value, Value>();
const made = new WeakMap<Value, Value>();

/** What a value is with the examples last, where it was turned so. */
export const turnedFrom = (last: Value): Value | undefined => turned.get(last);
/** A value with the examples last, where it is made of that. */
export const madeFrom = (first: Value): Value | undefined => made.get(first);

/**
 * [n, c, …spatial] with the examples last: [c, places, n]. What convolutions over all examples copy lies in one piece then.
 * What is made so is not turned at all: examples-last-forms.ts.
 */
export function examplesLast(x: Value): Value {
  const [batch = 0, channels = 0, ...spatial] = x.shape;
  const rows = transpose(reshape(x, [batch, channels * size(spatial)]), [1, 0]);
  const last = reshape(rows, [channels, size(spatial), batch]);
  turned.set(last, x);
  return last;
}

/** The other way round: [c, places, n], however its axes are parted, as [n, c, …spatial]. */
export function examplesFirst(last: Value, x: Shape): Value {
  const [batch = 0, channels = 0, ...spatial] = x;
  const rows = reshape(last, [channels * size(spatial), batch]);
  const first = reshape(transpose(rows, [1, 0]), x);
  made.set(first, reshape(last, [channels, size(spatial), batch]));
  return first;
}
