/** A dataset in memory: one row per example. */
export interface Table {
  readonly rows: number;
  /** Sizes of one example's features, such as [64] or [28, 28]. */
  readonly featureShape: number[];
  /** Names of the feature columns; empty for images. */
  readonly featureNames: string[];
  readonly target: string;
  /** The classes in label order; undefined where the target is a number. */
  readonly classes: string[] | undefined;
  /** [rows, …featureShape], row-major. */
  readonly features: Float32Array;
  /** Class index, or the number itself. */
  readonly targets: Float32Array;
}

/** The content cannot be read as a dataset; the message names row and column, what was got and what is wanted. */
export class DatasetError extends Error {
  override readonly name = 'DatasetError';
}

export interface TableLimits {
  readonly rows: number;
  readonly columns: number;
  readonly classes: number;
  /** Bytes once decompressed. */
  readonly decodedBytes: number;
  /** Bytes of one row. */
  readonly rowBytes: number;
}

export const tableLimits: TableLimits = {
  rows: 50_000_000,
  columns: 100_000,
  classes: 10_000,
  decodedBytes: 8 * 2 ** 30,
  rowBytes: 16 * 2 ** 20,
};

export const featureCount = ({ featureShape }: Pick<Table, 'featureShape'>) =>
  featureShape.reduce((product, size) => product * size, 1);
