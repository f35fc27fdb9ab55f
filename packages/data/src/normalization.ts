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

function standard({ features }: Table, rows: Uint32Array, width: number): Normalization {
  // Welford's method, in doubles: sums of squares lose digits
  const mean = new Float64Array(width);
  const squares = new Float64Array(width);
  rows.forEach((row, seen) => {
    for (let i = 0; i < width; i++) {
      const value = features[row * width + i]!;
      const delta = value - mean[i]!;
      mean[i]! += delta / (seen + 1);
      squares[i]! += delta * (value - mean[i]!);
    }
  });
  const scale = Float32Array.from(squares, (square) => (square > 0 ? 1 / Math.sqrt(square / rows.length) : 1));
  return { offset: Float32Array.from(mean), scale };
}

function minmax({ features }: Table, rows: Uint32Array, width: number): Normalization {
  let lowest = Infinity;
  let highest = -Infinity;
  for (const row of rows) {
    for (let i = row * width; i < (row + 1) * width; i++) {
      lowest = Math.min(lowest, features[i]!);
      highest = Math.max(highest, features[i]!);
    }
  }
  return {
    offset: new Float32Array(width).fill(lowest),
    scale: new Float32Array(width).fill(highest > lowest ? 1 / (highest - lowest) : 1),
  };
}
