import { counterRandom } from './counter-random.js';
import { DatasetError } from './table.js';

/** Shares of the rows; they add up to 1. */
export interface Splits {
  readonly train: number;
  readonly validation: number;
  readonly test: number;
  readonly seed: bigint;
}

const splitStream = 1;

/** Deals the rows by a seeded shuffle; every row is in exactly one part, in file order there. */
export function splitRows(
  rows: number,
  { train, validation, test, seed }: Splits,
): { train: Uint32Array; validation: Uint32Array; test: Uint32Array } {
  checkShares({ train, validation, test });
  const order = counterRandom(seed, splitStream).permutation(rows);
  const first = Math.round(rows * train);
  const second = Math.round(rows * (train + validation));
  return {
    train: order.subarray(0, first).sort(),
    validation: order.subarray(first, second).sort(),
    test: order.subarray(second).sort(),
  };
}

export function checkShares({ train, validation, test }: Omit<Splits, 'seed'>): void {
  if (![train, validation, test].every((share) => share >= 0) || Math.abs(train + validation + test - 1) > 1e-6) {
    throw new DatasetError(`splits are ${train}, ${validation} and ${test}, wanted shares that add up to 1`);
  }
}

const calibrationStream = 2;

/** At most `count` of the rows, drawn without repetition. */
export function calibrationRows(rows: Uint32Array, count: number, seed: bigint): Uint32Array {
  const order = counterRandom(seed, calibrationStream).permutation(rows.length);
  return order.slice(0, count).map((i) => rows[i]!);
}
