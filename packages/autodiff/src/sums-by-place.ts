import * as op from './ops.js';
import { constant, scalar, size } from './value.js';
import type { Value } from './value.js';

/** Numbers that one row adds up. */
const rowLength = 128;

/**
 * The sums of all elements of g that go to the same place of a vector, as `indices` says of each. ScatterND would add them
 * one by one, and loses some where threads add to one place at once; here every row of `rowLength` elements is of one place,
 * filled up with zeros, so sums are of rows, and of the rows of each place.
 */
export function sumsByPlace(g: Value, indices: readonly number[], length: number): Value {
  const places: number[][] = Array.from({ length }, () => []);
  indices.forEach((index, i) => places[index < 0 ? index + length : index]!.push(i));
  const nothing = size(g.shape);
  const rows: number[] = [];
  const positions: number[] = [];
  places.forEach((elements, place) => {
    for (let from = 0; from < elements.length; from += rowLength) {
      rows.push(place);
      for (let i = from; i < from + rowLength; i++) positions.push(elements[i] ?? nothing);
    }
  });
  const flat = op.concat([op.reshape(g, [nothing]), op.reshape(scalar(0), [1])], 0);
  const inRows = op.gather(flat, constant(positions, [rows.length, rowLength], 'int64'), 0);
  const belongs = new Float32Array(length * rows.length);
  rows.forEach((place, row) => (belongs[place * rows.length + row] = 1));
  return op.matMul(constant(belongs, [length, rows.length]), op.reduceSum(inRows, [1], false));
}
