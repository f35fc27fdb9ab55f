import { readFile } from 'node:fs/promises';
import {
  fitNormalization,
  learnTokenizer,
  readTable,
  readTokens,
  splitRows,
  splitTokens,
  tokenizerIn,
} from '@modelmill/data';
import type { Normalization, Table, TokenizerJson } from '@modelmill/data';
import { readOnnx } from '@modelmill/onnx';
import type { Examples } from './examples.js';
import { tableExamples } from './table-examples.js';
import { textExamples } from './text-examples.js';
import type { TrainingOrder } from './training-messages.js';

/** A dataset as a training takes it. */
export interface Material {
  /** Sizes of one example. */
  readonly featureShape: readonly number[];
  /** Classes of the target, or tokens of the vocabulary; 0 where the target is a number. */
  readonly classes: number;
  /** Examples of the training part; of a text, its windows. */
  readonly trainExamples: number;
  readonly normalization: Normalization | undefined;
  /** What made tokens of the text; undefined for tables. */
  readonly tokenizer: TokenizerJson | undefined;
  /** What a teacher is asked about; undefined for text. */
  readonly asked: { readonly table: Table; readonly rows: Uint32Array } | undefined;
  /** The examples in the shape a graph takes them. */
  examples(
    exampleShape: readonly number[],
    fed: { readonly batchSize: number; readonly targets: 'class indices' | 'numbers' },
  ): Examples;
}

/** Reads the dataset of an order. Throws DatasetError. */
export async function readMaterial({ plan, dataset, basePath }: TrainingOrder): Promise<Material> {
  const seed = BigInt(plan.seed);
  const { path, format, splits } = dataset;
  if (format.kind === 'text') {
    const base = basePath === undefined ? undefined : readOnnx(await readFile(basePath));
    // what goes on goes on with the tokens it knows
    const tokenizer = (base && tokenizerIn(base.metadata)) ?? (await learnTokenizer(path, plan.tokenizer));
    const tokens = await readTokens(path, tokenizer);
    const ranges = splitTokens(tokens.length, splits);
    const { context } = plan;
    return {
      featureShape: [context],
      classes: tokenizer.size,
      trainExamples: Math.floor((ranges.train.end - ranges.train.start) / context),
      normalization: undefined,
      tokenizer: tokenizer.toJSON(),
      asked: undefined,
      examples: (_, { batchSize }) =>
        textExamples({ tokens, ranges, batchSize, context, seed, vocabulary: tokenizer.size }),
    };
  }
  const table = await readTable(path, format);
  const rows = splitRows(table.rows, { ...splits, seed: BigInt(splits.seed) });
  return {
    featureShape: table.featureShape,
    classes: table.classes?.length ?? 0,
    trainExamples: rows.train.length,
    normalization: fitNormalization(table, rows.train, plan.normalize),
    tokenizer: undefined,
    asked: { table, rows: rows.train },
    examples: (exampleShape, fed) => tableExamples({ ...fed, table, rows, seed, exampleShape }),
  };
}
