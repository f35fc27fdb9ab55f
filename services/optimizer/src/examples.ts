import type { datasets } from '@modelmill/contracts';
import { datasetFormat, readTable, splitRows } from '@modelmill/data';
import type { Table } from '@modelmill/data';
import type { Artifacts } from '@modelmill/store';

/** A dataset version, its rows dealt. */
export interface Examples extends Disposable {
  readonly table: Table;
  /** For calibration. */
  readonly train: Uint32Array;
  /** Held out, for evaluation. */
  readonly test: Uint32Array;
}

export const defaultSplits: datasets.Splits = { train: 0.8, validation: 0, test: 0.2, seed: 0n };

export async function readExamples(
  artifacts: Pick<Artifacts, 'path'>,
  { artifactSha256, format, splits = defaultSplits }: datasets.DatasetVersion,
): Promise<Examples> {
  const table = await readTable(await artifacts.path(artifactSha256), datasetFormat(format!)); // none is stored without
  const { train, test } = splitRows(table.rows, splits);
  return { table, train, test, [Symbol.dispose]: () => table[Symbol.dispose]() };
}
