import { createColumnReader } from './column-reader.js';
import type { ColumnReader } from './column-reader.js';
import type { ColumnRoles } from './column-roles.js';
import { contentError, openContent } from './content.js';
import { cellAt, createCsvScanner, textOf } from './csv-scanner.js';
import { DatasetError } from './table.js';
import type { Table, TableLimits } from './table.js';

export interface CsvFormat extends ColumnRoles {
  readonly kind: 'csv';
  /** Whether the first row names the columns. Without names they are c0, c1, … */
  readonly header: boolean;
}

/** Reads rows of whatever length as they come; the file is never in memory as a whole. */
export async function readCsv(path: string, format: CsvFormat, limits: TableLimits): Promise<Table> {
  let reader: ColumnReader | undefined;
  let scan: ReturnType<typeof createCsvScanner>['scanRow'] | undefined;
  let bytes = Buffer.alloc(2 ** 20);
  let filled = 0;

  /** Reads all rows that are whole and keeps the rest. */
  function readRows(isLast: boolean): void {
    bytes[filled] = 0;
    let at = reader === undefined && bytes.subarray(0, 3).toString('hex') === byteOrderMark ? 3 : 0;
    while (at < filled) {
      if (scan === undefined) {
        const first = firstRow(bytes, at, filled);
        if (first === undefined) break;
        if (first.cells.length > 1 || first.cells[0] !== '') {
          const names = format.header ? first.cells : first.cells.map((_, i) => `c${i}`);
          reader = createColumnReader(names, format, limits, format.header ? 1 : 0);
          ({ scanRow: scan } = createCsvScanner(reader));
          if (!format.header) continue;
        }
        at = first.end;
        continue;
      }
      const end = scan(bytes, at, filled, isLast);
      if (end < 0) break;
      at = end;
    }
    bytes.copyWithin(0, at, filled);
    filled -= at;
    if (filled > limits.rowBytes) throw new DatasetError(`row ${rowOf()}: wanted at most ${limits.rowBytes} bytes`);
  }

  const rowOf = () => reader?.row ?? 1;

  try {
    for await (const part of await openContent(path, limits.decodedBytes)) {
      const chunk = part as Buffer;
      // one byte for the end of the last line, one that is no digit
      if (filled + chunk.length + 2 > bytes.length) {
        const wider = Buffer.alloc(2 * (filled + chunk.length + 2));
        bytes.copy(wider, 0, 0, filled);
        bytes = wider;
      }
      if (reader === undefined && filled === 0) checkEncoding(chunk);
      filled += chunk.copy(bytes, filled);
      readRows(false);
    }
    bytes[filled++] = 0x0a;
    readRows(true);
    if (filled > 0) throw new DatasetError(`row ${rowOf()}: a quote is not closed`);
    if (reader === undefined) throw new DatasetError('got 0 rows, wanted at least 1');
    return reader.finish();
  } catch (error) {
    reader?.[Symbol.dispose]();
    throw contentError(error);
  }
}

const byteOrderMark = 'efbbbf';

function checkEncoding(start: Buffer): void {
  const mark = start.subarray(0, 2).toString('hex');
  if (mark === 'fffe' || mark === 'feff') throw new DatasetError('row 1: got UTF-16, wanted UTF-8');
}

/** The first row's cells and where it ends; undefined where it goes on. */
function firstRow(bytes: Buffer, start: number, filled: number): { cells: string[]; end: number } | undefined {
  const cells: string[] = [];
  for (let at = start; ;) {
    const cell = cellAt(bytes, at, filled, 1);
    if (cell === undefined) return undefined;
    cells.push(textOf(bytes, cell));
    at = cell.end + 1;
    if (bytes[cell.end] === 0x2c) continue;
    if (bytes[cell.end] === 0x0d && bytes[at] === 0x0a) at++;
    return { cells, end: at };
  }
}
