import { counterRandom } from './counter-random.js';
import { rowsOf } from './table.js';
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
  const order = shuffle ? shuffled(rows, seed, epoch) : rows;
  for (let start = skip * batchSize; start < order.length; start += batchSize) {
    const some = order.subarray(start, start + batchSize);
    if (dropLast && some.length < batchSize) return;
    yield { ...rowsOf(table, some), size: some.length, rows: some };
  }
}

function shuffled(rows: Uint32Array, seed: bigint, epoch: number): Uint32Array {
  const order = counterRandom(seed, shuffleStream).permutation(rows.length, epoch);
  for (let i = 0; i < order.length; i++) order[i] = rows[order[i]!]!;
  return order;
}
