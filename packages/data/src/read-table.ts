import { readCsv } from './csv.js';
import type { CsvFormat } from './csv.js';
import { readIdx } from './idx.js';
import type { IdxFormat } from './idx.js';
import { tableLimits } from './table.js';
import type { Table, TableLimits } from './table.js';

export type DatasetFormat = CsvFormat | IdxFormat;

/**
 * Reads a whole dataset, gzip or not. Throws DatasetError: rows are numbered from 1, a header counted; a cell at fault
 * is named with its column, what was got and what is wanted.
 */
export async function readTable(
  path: string,
  format: DatasetFormat,
  limits: Partial<TableLimits> = {},
): Promise<Table> {
  const bounds = { ...tableLimits, ...limits };
  switch (format.kind) {
    case 'csv':
      return readCsv(path, format, bounds);
    case 'idx':
      return readIdx(path, format, bounds);
  }
}
