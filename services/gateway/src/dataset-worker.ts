import { parentPort, workerData } from 'node:worker_threads';
import { DatasetError, readTable, readText, rowsOf } from '@modelmill/data';
import type { Column, DatasetFormat } from '@modelmill/data';
import type { WorkerAnswer } from './worker-call.js';

export interface DatasetTask {
  readonly path: string;
  readonly format: DatasetFormat;
  /** How many of the first rows are wanted. */
  readonly rows: number;
}

/** A dataset without its content, beside the first rows. */
export interface DatasetSummary {
  readonly rows: number;
  readonly featureShape: readonly number[];
  readonly featureNames: readonly string[];
  readonly columns: readonly Column[];
  readonly target: string;
  readonly classes: readonly string[] | undefined;
  readonly first: readonly { readonly features: number[]; readonly target: string; readonly text: string }[];
}

/** A line of a text is shown up to here. */
const shownCharacters = 2_000;

async function summarize(task: DatasetTask): Promise<WorkerAnswer<DatasetSummary>> {
  try {
    return { kind: 'done', value: await (task.format.kind === 'text' ? summaryOfText(task) : summaryOfTable(task)) };
  } catch (error) {
    if (error instanceof DatasetError) return { kind: 'refused', reason: error.message };
    throw error;
  }
}

async function summaryOfTable({ path, format, rows: shown }: DatasetTask): Promise<DatasetSummary> {
  using table = await readTable(path, format);
  const { rows, featureShape, featureNames, columns, target, classes } = table;
  const some = Uint32Array.from({ length: Math.min(shown, rows) }, (_, row) => row);
  const { features, targets } = rowsOf(table, some);
  const width = features.length / some.length;
  const first = Array.from(targets, (value, row) => ({
    features: Array.from(features.subarray(row * width, (row + 1) * width)),
    target: classes?.[value] ?? String(value),
    text: '',
  }));
  return { rows, featureShape, featureNames, columns, target, classes, first };
}

/** Its rows are its characters, the first ones its lines. */
async function summaryOfText({ path, rows: shown }: DatasetTask): Promise<DatasetSummary> {
  let rows = 0;
  let start = '';
  let lines: string[] = [];
  for await (const part of readText(path)) {
    for (const _ of part) rows++;
    if (lines.length > shown || start.length > shown * shownCharacters) continue;
    start += part;
    lines = start.split('\n', shown + 1);
  }
  const first = lines
    .slice(0, shown)
    .map((line) => ({ features: [], target: '', text: line.slice(0, shownCharacters) }));
  return { rows, featureShape: [], featureNames: [], columns: [], target: '', classes: undefined, first };
}

parentPort!.postMessage(await summarize(workerData as DatasetTask));
