import { parentPort, workerData } from 'node:worker_threads';
import { DatasetError, readTable } from '@modelmill/data';
import type { DatasetFormat } from '@modelmill/data';
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
  readonly target: string;
  readonly classes: readonly string[] | undefined;
  readonly first: readonly { readonly features: readonly number[]; readonly target: string }[];
}

async function summarize({ path, format, rows: shown }: DatasetTask): Promise<WorkerAnswer<DatasetSummary>> {
  try {
    const table = await readTable(path, format);
    const { rows, featureShape, featureNames, target, classes, features, targets } = table;
    const width = features.length / rows;
    const first = Array.from({ length: Math.min(shown, rows) }, (_, row) => ({
      features: Array.from(features.subarray(row * width, (row + 1) * width)),
      target: classes?.[targets[row]!] ?? String(targets[row]),
    }));
    return { kind: 'done', value: { rows, featureShape, featureNames, target, classes, first } };
  } catch (error) {
    if (error instanceof DatasetError) return { kind: 'refused', reason: error.message };
    throw error;
  }
}

parentPort!.postMessage(await summarize(workerData as DatasetTask));
