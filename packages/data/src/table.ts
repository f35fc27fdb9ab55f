/** A dataset as one row per example, in memory or, where it is large, in a file. */
export interface Table extends Disposable {
  readonly rows: number;
  /** Sizes of one example's features, such as [64] or [28, 28]. */
  readonly featureShape: number[];
  /** Names of the features, `column=category` where one stands for a category; empty for images. */
  readonly featureNames: string[];
  /** How the columns became features; empty where the content has no columns. */
  readonly columns: Column[];
  readonly target: string;
  /** The classes in label order; undefined where the target is a number. */
  readonly classes: string[] | undefined;
  /**
   * Copies rows, in the order given: `features` takes [rows.length, …featureShape], row-major, `targets` [rows.length],
   * each the class index or the number itself. Reads synchronously.
   */
  rowsInto(rows: Uint32Array, features: Float32Array, targets: Float32Array): void;
}

/** A column that is learned from. */
export interface Column {
  readonly name: string;
  /** Sorted; each is a feature of its own, 1 where the cell is it and 0 elsewhere. Undefined for numbers. */
  readonly categories: readonly string[] | undefined;
  /** Cells that hold nothing. Those of a number are filled, those of a category are 0 in all its features. */
  readonly missing: number;
  /** What missing numbers are taken for; undefined where none is missing. */
  readonly fill: number | undefined;
}

/** The content cannot be read as a dataset; the message names row and column, what was got and what is wanted. */
export class DatasetError extends Error {
  override readonly name: string = 'DatasetError';
}

export interface TableLimits {
  readonly rows: number;
  readonly columns: number;
  readonly classes: number;
  /** Of one column. */
  readonly categories: number;
  /** Bytes once decompressed. */
  readonly decodedBytes: number;
  /** Bytes of one row. */
  readonly rowBytes: number;
  /** Bytes of numbers that stay in memory; more go to a file that lasts as long as the table. */
  readonly memoryBytes: number;
}

export const tableLimits: TableLimits = {
  rows: 50_000_000,
  columns: 100_000,
  classes: 10_000,
  categories: 1_000,
  decodedBytes: 8 * 2 ** 30,
  rowBytes: 16 * 2 ** 20,
  memoryBytes: 64 * 2 ** 20,
};

export const featureCount = ({ featureShape }: Pick<Table, 'featureShape'>) =>
  featureShape.reduce((product, size) => product * size, 1);

/** Some rows of a table as arrays of their own. */
export function rowsOf(table: Table, rows: Uint32Array): { features: Float32Array; targets: Float32Array } {
  const features = new Float32Array(rows.length * featureCount(table));
  const targets = new Float32Array(rows.length);
  table.rowsInto(rows, features, targets);
  return { features, targets };
}

export type TableContent = Pick<Table, 'featureShape' | 'featureNames' | 'target' | 'classes'> & {
  /** [rows, …featureShape], row-major. */
  readonly features: Float32Array;
  /** [rows]. */
  readonly targets: Float32Array;
};

/** A table of numbers that are in memory already. */
export function tableOf({ features, targets, ...about }: TableContent): Table {
  const width = featureCount(about);
  return {
    ...about,
    rows: targets.length,
    columns: [],
    rowsInto: (rows, to, targetsTo) =>
      rows.forEach((row, i) => {
        to.set(features.subarray(row * width, (row + 1) * width), i * width);
        targetsTo[i] = targets[row]!;
      }),
    [Symbol.dispose]: () => {},
  };
}
