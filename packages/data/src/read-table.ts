import { readCsv } from './csv.js';
import type { DatasetFormat } from './dataset-format.js';
import { readIdx } from './idx.js';
import { readNdjson } from './ndjson.js';
import { readNpy } from './npy.js';
import { DatasetError, tableLimits } from './table.js';
import type { Table, TableLimits } from './table.js';

/**
 * Reads a whole dataset, gzip or not, in a memory that does not grow with it. Throws DatasetError: rows are numbered from 1,
 * a header counted and blank lines not; a cell at fault is named with its column, what was got and what is wanted.
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
    case 'ndjson':
      return readNdjson(path, format, bounds);
    case 'idx':
      return readIdx(path, format, bounds);
    case 'npy':
      return readNpy(path, format, bounds);
    case 'text':
      throw new DatasetError('got text, which has no rows of features and targets, wanted csv, ndjson, idx or npy');
  }
}
