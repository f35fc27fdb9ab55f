import { createColumnReader } from './column-reader.js';
import type { ColumnReader } from './column-reader.js';
import type { ColumnRoles } from './column-roles.js';
import { contentError } from './content.js';
import { DatasetError } from './table.js';
import type { Table, TableLimits } from './table.js';
import { linesOf } from './lines.js';

/** One JSON object per line; the keys of the first one are the columns. A key that is not there or null is missing. */
export interface NdjsonFormat extends ColumnRoles {
  readonly kind: 'ndjson';
}

export async function readNdjson(path: string, format: NdjsonFormat, limits: TableLimits): Promise<Table> {
  let reader: ColumnReader | undefined;
  let columns = new Map<string, number>();
  let seen = new Uint32Array(0);
  let row = 0;
  try {
    for await (const line of linesOf(path, limits)) {
      row++;
      const cells = Object.entries(objectIn(line, row));
      if (reader === undefined) {
        const names = cells.map(([name]) => name);
        reader = createColumnReader(names, format, limits, 0);
        columns = new Map(names.map((name, column) => [name, column]));
        seen = new Uint32Array(names.length);
      }
      for (const [name, value] of cells) {
        const column = columns.get(name);
        if (column === undefined) {
          const known = [...columns.keys()].slice(0, 20).join(', ');
          throw new DatasetError(`row ${row}: got a column '${name.slice(0, 60)}', wanted those of row 1: ${known}`);
        }
        seen[column] = row;
        put(reader, column, value, row);
      }
      if (cells.length < seen.length) seen.forEach((last, column) => last < row && reader!.missing(column));
      reader.endRow();
    }
    if (reader === undefined) throw new DatasetError('got 0 rows, wanted at least 1');
    return reader.finish();
  } catch (error) {
    reader?.[Symbol.dispose]();
    throw contentError(error);
  }
}

function objectIn(line: string, row: number): object {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new DatasetError(`row ${row}: got '${line.slice(0, 60)}', wanted a JSON object: ${why.slice(0, 200)}`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new DatasetError(`row ${row}: got '${line.slice(0, 60)}', wanted a JSON object`);
}

function put(reader: ColumnReader, column: number, value: unknown, row: number): void {
  switch (typeof value) {
    case 'number':
      return reader.number(column, value);
    case 'string':
      return value === '' ? reader.missing(column) : reader.name(column, value);
    case 'boolean':
      return reader.name(column, String(value));
    default: {
      if (value === null) return reader.missing(column);
      const got = Array.isArray(value) ? 'a list' : 'an object'; // written out it may be endlessly deep
      throw new DatasetError(`row ${row}, column '${reader.names[column]}': got ${got}, wanted a number or text`);
    }
  }
}
