import { DatasetError, featureCount } from './table.js';
import type { Table } from './table.js';

/** y = (x − offset) · scale, one number per feature. */
export interface Normalization {
  readonly offset: Float32Array;
  readonly scale: Float32Array;
}

/**
 * Fitted on the given rows. `standard`: zero mean and unit variance per feature, a constant feature is only centred.
 * `minmax`: one scale for all features to [0, 1]. `none`: undefined.
 */
export function fitNormalization(
  table: Table,
  rows: Uint32Array,
  kind: 'standard' | 'minmax' | 'none',
): Normalization | undefined {
  if (kind === 'none') return undefined;
  if (rows.length === 0) throw new DatasetError('the training split has 0 rows, wanted at least 1 to normalize by');
  const width = featureCount(table);
  return kind === 'standard' ? standard(table, rows, width) : minmax(table, rows, width);
}

function standard(table: Table, rows: Uint32Array, width: number): Normalization {
  // Welford's method, in doubles: sums of squares lose digits
  const mean = new Float64Array(width);
  const squares = new Float64Array(width);
  let seen = 0;
  for (const features of inBlocks(table, rows, width)) {
    for (let at = 0; at < features.length; at += width) {
      seen++;
      for (let i = 0; i < width; i++) {
        const value = features[at + i]!;
        const delta = value - mean[i]!;
        mean[i]! += delta / seen;
        squares[i]! += delta * (value - mean[i]!);
      }
    }
  }
  const scale = Float32Array.from(squares, (square) => (square > 0 ? 1 / Math.sqrt(square / rows.length) : 1));
  return { offset: Float32Array.from(mean), scale };
}

function minmax(table: Table, rows: Uint32Array, width: number): Normalization {
  let lowest = Infinity;
  let highest = -Infinity;
  for (const features of inBlocks(table, rows, width)) {
    for (const value of features) {
      if (value < lowest) lowest = value;
      if (value > highest) highest = value;
    }
  }
  return {
    offset: new Float32Array(width).fill(lowest),
    scale: new Float32Array(width).fill(highest > lowest ? 1 / (highest - lowest) : 1),
  };
}

/** The features of the rows, some rows at a time. */
function* inBlocks(table: Table, rows: Uint32Array, width: number): Generator<Float32Array> {
  const step = Math.max(1, Math.floor(2 ** 18 / width));
  const features = new Float32Array(step * width);
  const targets = new Float32Array(step);
  for (let first = 0; first < rows.length; first += step) {
    const some = rows.subarray(first, first + step);
    table.rowsInto(some, features, targets);
    yield features.subarray(0, some.length * width);
  }
}
