import { counterRandom } from './counter-random.js';
import { featureCount } from './table.js';
import type { Table } from './table.js';

export interface Batch {
  /** [size, …featureShape]. */
  readonly features: Float32Array;
  /** [size]. */
  readonly targets: Float32Array;
  readonly size: number;
  /** Which rows of the table these are. */
  readonly rows: Uint32Array;
}

export interface BatchOptions {
  readonly batchSize: number;
  readonly seed: bigint;
  readonly epoch: number;
  readonly shuffle: boolean;
  /** Leaves out what does not fill a batch. */
  readonly dropLast: boolean;
  /** Batches to pass over: the cursor of a resumed epoch. */
  readonly skip?: number;
}

const shuffleStream = 3;

/** The rows in batches, in another order every epoch; the order is a function of seed and epoch alone. */
export function* batches(table: Table, rows: Uint32Array, options: BatchOptions): Generator<Batch> {
  const { batchSize, seed, epoch, shuffle, dropLast, skip = 0 } = options;
  const order = shuffle
    ? counterRandom(seed, shuffleStream)
        .permutation(rows.length, epoch)
        .map((i) => rows[i]!)
    : rows;
  const width = featureCount(table);
  for (let start = skip * batchSize; start < order.length; start += batchSize) {
    const some = order.subarray(start, start + batchSize);
    if (dropLast && some.length < batchSize) return;
    const features = new Float32Array(some.length * width);
    some.forEach((row, i) => features.set(table.features.subarray(row * width, (row + 1) * width), i * width));
    yield { features, targets: Float32Array.from(some, (row) => table.targets[row]!), size: some.length, rows: some };
  }
}
