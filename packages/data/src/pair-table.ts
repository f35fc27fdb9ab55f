import { createRecordWriter } from './records.js';
import type { Table, TableLimits } from './table.js';

/** Rows of a features file, to which the targets come. */
export interface PairOptions {
  readonly rows: number;
  readonly featureShape: number[];
  readonly target: string;
  readonly limits: TableLimits;
}

/**
 * Collects features row by row and makes the table with targets that are read behind them: [rows], a class index or the
 * number itself.
 */
export function createPairReader({ rows, featureShape, target, limits }: PairOptions) {
  const width = featureShape.reduce((product, size) => product * size, 1);
  const writer = createRecordWriter(width, limits.memoryBytes);
  return {
    width,
    add: (features: Float32Array) => writer.add(features),
    finish(targets: Float32Array, classes: string[] | undefined): Table {
      const records = writer.finish();
      return {
        rows,
        featureShape,
        featureNames: [],
        columns: [],
        target,
        classes,
        rowsInto(wanted, features, targetsTo) {
          records.read(wanted, features);
          for (let i = 0; i < wanted.length; i++) targetsTo[i] = targets[wanted[i]!]!;
        },
        [Symbol.dispose]: () => records[Symbol.dispose](),
      };
    },
    [Symbol.dispose]: () => writer[Symbol.dispose](),
  };
}
