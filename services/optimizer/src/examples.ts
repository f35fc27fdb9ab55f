import type { datasets } from '@modelmill/contracts';
import { readTable, splitRows } from '@modelmill/data';
import type { DatasetFormat, Table } from '@modelmill/data';
import type { Artifacts } from '@modelmill/store';

/** A dataset version in memory, its rows dealt. */
export interface Examples {
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
  const table = await readTable(await artifacts.path(artifactSha256), formatOf(format));
  const { train, test } = splitRows(table.rows, splits);
  return { table, train, test };
}

function formatOf(format: datasets.DatasetVersion['format']): DatasetFormat {
  switch (format?.$case) {
    case 'idx':
      return { kind: 'idx', imagesBytes: Number(format.idx.imagesBytes) };
    case 'csv':
      return { kind: 'csv', header: format.csv.header, target: format.csv.target };
    case undefined:
      throw new Error('a stored dataset has a format, got none');
  }
}
