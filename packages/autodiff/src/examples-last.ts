import { reshape, transpose } from './ops.js';
import { size } from './value.js';
import type { Shape, Value } from './value.js';

/**
 * [n, c, …spatial] with the examples last: [c, places, n]. What convolutions over all examples copy lies in one piece then.
 * Of a value that is made so it is turned back nowhere: examples-last-forms.ts.
 */
export function examplesLast(x: Value): Value {
  const [batch = 0, channels = 0, ...spatial] = x.shape;
  const turned = transpose(reshape(x, [batch, channels * size(spatial)]), [1, 0]);
  const last = reshape(turned, [channels, size(spatial), batch]);
  last.turnedFrom = x;
  return last;
}

/** The other way round: [c, places, n] as [n, c, …spatial]. */
export function examplesFirst(last: Value, x: Shape): Value {
  const [batch = 0, channels = 0, ...spatial] = x;
  const rows = reshape(last, [channels * size(spatial), batch]);
  const first = reshape(transpose(rows, [1, 0]), x);
  first.madeFrom = reshape(last, [channels, size(spatial), batch]);
  return first;
}
