import { batches } from '@modelmill/data';
import type { Batch, Table } from '@modelmill/data';
import { partOf } from './examples.js';
import type { Examples, Lesson } from './examples.js';

export interface TableExamplesOptions {
  readonly table: Table;
  readonly rows: { readonly train: Uint32Array; readonly validation: Uint32Array; readonly test: Uint32Array };
  readonly batchSize: number;
  /** What the step graph takes the targets as. */
  readonly targets: 'class indices' | 'numbers';
  readonly seed: bigint;
  /** Sizes of one example as the graph takes it. */
  readonly exampleShape: readonly number[];
}

/** Examples evaluated at once. */
const chunk = 256;

/** The rows of a table, in another order every epoch. Each epoch drops what does not fill a batch. */
export function tableExamples(options: TableExamplesOptions): Examples {
  const { table, rows, batchSize, seed, exampleShape } = options;
  const stepsPerEpoch = Math.floor(rows.train.length / batchSize);
  const lesson = ({ features, targets, size, rows: some }: Batch): Lesson => ({
    features: { dims: [size, ...exampleShape], data: features },
    targets,
    targetTensor:
      options.targets === 'class indices'
        ? { dims: [size], data: BigInt64Array.from(targets, BigInt) }
        : { dims: [size, 1], data: targets },
    size,
    rows: some,
  });
  let dealing: { next: number; batches: Iterator<Batch> } | undefined;
  return {
    stepsPerEpoch,
    stepsOf: (epochs) => epochs * stepsPerEpoch,
    evaluateEvery: stepsPerEpoch,
    at(step) {
      const skip = step % stepsPerEpoch;
      if (dealing?.next !== step || skip === 0) {
        const epoch = Math.floor(step / stepsPerEpoch);
        const order = { batchSize, seed, epoch, shuffle: true, dropLast: true, skip };
        dealing = { next: step, batches: batches(table, rows.train, order) };
      }
      dealing.next = step + 1;
      return lesson(dealing.batches.next().value as Batch);
    },
    *heldOut(part) {
      const some = partOf(part, rows, ({ length }) => length);
      const order = { batchSize: chunk, seed: 0n, epoch: 0, shuffle: false, dropLast: false };
      for (const batch of batches(table, some, order)) yield lesson(batch);
    },
  };
}
