import type { datasets } from '@modelmill/contracts';
import {
  datasetFormat,
  readTable,
  readTokens,
  rowsOf,
  splitRows,
  splitTokens,
  tokenWindows,
  windowStarts,
} from '@modelmill/data';
import type { Splits, Table, TokenStream } from '@modelmill/data';
import type { TensorData } from '@modelmill/runtime';
import type { Artifacts } from '@modelmill/store';
import type { Task } from './task.js';

/** A dataset version as models take it, its examples dealt. An example has an id: its row, or where its window starts. */
export interface Examples extends Disposable {
  readonly task: Task;
  /** For calibration. */
  readonly train: Uint32Array;
  /** For evaluation. */
  readonly heldOut: Uint32Array;
  /** Which part of the dataset is held out. */
  readonly split: 'test' | 'validation';
  /** As many as are evaluated together. */
  readonly atOnce: number;
  /** Some examples as one tensor [some.length, …exampleShape]. */
  inputs(some: Uint32Array, exampleShape: readonly number[]): TensorData;
  /** A class, a number or a token for each answer, in their order: a window of text has as many as tokens. */
  targets(some: Uint32Array): Float32Array;
}

export const defaultSplits: datasets.Splits = { train: 0.8, validation: 0, test: 0.2, seed: 0n };

export async function readExamples(
  artifacts: Pick<Artifacts, 'path'>,
  { artifactSha256, format, splits = defaultSplits }: datasets.DatasetVersion,
  task: Task,
): Promise<Examples> {
  const path = await artifacts.path(artifactSha256);
  if (task.kind === 'text') return textExamples(await readTokens(path, task.tokenizer), splits, task);
  return tableExamples(await readTable(path, datasetFormat(format!)), splits, task); // none is stored without
}

/** Rows of a table. */
export function tableExamples(table: Table, splits: Splits, task: Exclude<Task, { kind: 'text' }>): Examples {
  const { train, validation, test } = splitRows(table.rows, splits);
  return {
    task,
    train,
    ...heldOut(test, validation),
    atOnce: 256,
    inputs: (some, exampleShape) => ({
      datatype: 'FP32',
      shape: [some.length, ...exampleShape],
      data: new Uint8Array(rowsOf(table, some).features.buffer),
    }),
    targets: (some) => rowsOf(table, some).targets,
    [Symbol.dispose]: () => table[Symbol.dispose](),
  };
}

/** Probabilities that an evaluation computes at once: one per place and token. */
const mostProbabilities = 2 ** 20;

/** Windows of a text that do not overlap. */
export function textExamples(tokens: TokenStream, splits: Splits, task: Extract<Task, { kind: 'text' }>): Examples {
  const { context, tokenizer } = task;
  const { train, validation, test } = splitTokens(tokens.length, splits);
  return {
    task,
    train: windowStarts(train, context),
    ...heldOut(windowStarts(test, context), windowStarts(validation, context)),
    atOnce: Math.max(1, Math.floor(mostProbabilities / (context * tokenizer.size))),
    inputs: (some, exampleShape) => ({
      datatype: 'INT64',
      shape: [some.length, ...exampleShape],
      data: new Uint8Array(BigInt64Array.from(tokenWindows(tokens, some, context).inputs, BigInt).buffer),
    }),
    targets: (some) => Float32Array.from(tokenWindows(tokens, some, context).targets),
    [Symbol.dispose]: () => {},
  };
}

/** As a training measures at its end: on the test part, or where it is empty on the validation part. */
const heldOut = (test: Uint32Array, validation: Uint32Array): Pick<Examples, 'heldOut' | 'split'> =>
  test.length > 0 ? { heldOut: test, split: 'test' } : { heldOut: validation, split: 'validation' };
