import { assignColumns } from './column-roles.js';
import type { ColumnRoles } from './column-roles.js';
import { columnTable } from './column-table.js';
import type { FeatureColumn } from './column-table.js';
import { isNearlyNumber, numberIn } from './numbers.js';
import { createRecordWriter } from './records.js';
import { DatasetError } from './table.js';
import type { Table, TableLimits } from './table.js';
import { createTargetReader } from './target-column.js';

/** What a column of the content is, as far as it is known. */
export const columnKinds = { ignored: 0, undecided: 1, number: 2, category: 3, target: 4 } as const;

/**
 * Makes a table of cells that come row by row. A row keeps one number per column: itself, the place of its category in
 * order of appearance, or NaN where the cell is missing. A column is what its first cell is; the cells that follow must agree.
 */
export interface ColumnReader extends Disposable {
  readonly names: readonly string[];
  /** Of each column of the content, one of `columnKinds`. */
  readonly kinds: Uint8Array;
  /** Where in `record` each column lies. */
  readonly slots: Int32Array;
  /** The row being read. */
  readonly record: Float32Array;
  /** What the target keeps for a number met before; undefined otherwise. */
  keptTarget(value: number): number | undefined;
  /** Any cell, as text. */
  text(column: number, cell: string): void;
  /** A cell that is a name even where it says a number, such as a string in JSON. */
  name(column: number, cell: string): void;
  /** A cell that is a number and not text. */
  number(column: number, value: number): void;
  missing(column: number): void;
  endRow(): void;
  /** Number of the row being read, from 1, those before the first one counted. */
  readonly row: number;
  finish(): Table;
}

/** `rowOffset`: rows of the content before the first one here. */
export function createColumnReader(
  names: readonly string[],
  roles: ColumnRoles,
  limits: TableLimits,
  rowOffset: number,
): ColumnReader {
  const assigned = assignColumns(names, roles, limits);
  const kinds = new Uint8Array(names.length).fill(columnKinds.ignored);
  const slots = new Int32Array(names.length).fill(-1);
  const categories = new Map<number, Map<string, number>>();
  assigned.features.forEach((column, slot) => {
    slots[column] = slot;
    kinds[column] = assigned.categorical.has(column) ? columnKinds.category : columnKinds.undecided;
    if (assigned.categorical.has(column)) categories.set(column, new Map());
  });
  const width = assigned.features.length + 1;
  slots[assigned.target] = width - 1;
  kinds[assigned.target] = columnKinds.target;
  const record = new Float32Array(width);
  const writer = createRecordWriter(width, limits.memoryBytes);
  const target = createTargetReader(names[assigned.target]!, limits);
  const missing = new Float64Array(width);
  const sums = new Float64Array(width);
  const fills = roles.missing !== undefined && roles.missing !== 'refuse';
  let rows = 0;

  const bad = (column: number, got: string, wanted: string) =>
    new DatasetError(`row ${reader.row}, column '${names[column]}': got ${got}, wanted ${wanted}`);
  const quoted = (cell: string) => `'${cell.slice(0, 60)}'`;

  function category(column: number, cell: string): void {
    const known = categories.get(column)!;
    let place = known.get(cell);
    if (place === undefined) {
      place = known.size;
      if (place >= limits.categories) {
        const all = `column '${names[column]}' has more than ${limits.categories} categories`;
        throw new DatasetError(`${all} up to row ${reader.row}, wanted at most that, or it ignored`);
      }
      if (/[\0\ufffd]/.test(cell)) throw bad(column, quoted(cell), 'text in UTF-8');
      known.set(cell, place);
    }
    record[slots[column]!] = place;
  }

  function targetText(column: number, cell: string): void {
    const kept = target.keep(cell, rows);
    if (kept === undefined) {
      throw bad(column, quoted(cell), target.keepsNumbers() ? 'a number as before' : 'a class or a number');
    }
    record[width - 1] = kept;
    // from here on it is read like any number
    if (target.keepsNumbers()) kinds[column] = columnKinds.number;
  }

  const reader: ColumnReader = {
    names,
    kinds,
    slots,
    record,
    keptTarget: target.placeOf,
    text(column, cell) {
      if (kinds[column] === columnKinds.ignored) return;
      if (column === assigned.target) return targetText(column, cell);
      if (cell === '') return reader.missing(column);
      if (assigned.categorical.has(column)) return category(column, cell);
      const value = numberIn(cell);
      if (!Number.isNaN(value)) return reader.number(column, value);
      if (isNearlyNumber(cell)) throw bad(column, quoted(cell), 'a number, or the column named as categorical');
      reader.name(column, cell);
    },
    name(column, cell) {
      const kind = kinds[column];
      if (kind === columnKinds.ignored) return;
      if (column === assigned.target) return targetText(column, cell);
      if (kind === columnKinds.number) {
        throw bad(column, quoted(cell), 'a number as before, or the column named as categorical');
      }
      if (kind === columnKinds.undecided) {
        kinds[column] = columnKinds.category;
        categories.set(column, new Map());
      }
      category(column, cell);
    },
    number(column, value) {
      const kind = kinds[column];
      if (kind === columnKinds.ignored) return;
      if (!Number.isFinite(Math.fround(value))) throw bad(column, String(value), 'a number that float32 holds');
      if (column === assigned.target) return targetText(column, String(value));
      if (assigned.categorical.has(column)) return category(column, String(value));
      if (kind === columnKinds.category) {
        throw bad(column, quoted(String(value)), 'text as before, or the column named as categorical');
      }
      kinds[column] = columnKinds.number;
      record[slots[column]!] = value;
    },
    missing(column) {
      if (kinds[column] === columnKinds.ignored) return;
      if (column === assigned.target) throw bad(column, `''`, 'a class or a number');
      if (!fills) throw bad(column, `''`, 'a value, or a rule for missing ones: mean, median or zero');
      record[slots[column]!] = NaN;
    },
    endRow() {
      if (rows >= limits.rows) {
        throw new DatasetError(`row ${reader.row}: wanted at most ${limits.rows} rows`);
      }
      if (fills) {
        for (let slot = 0; slot < width - 1; slot++) {
          const value = record[slot]!;
          if (Number.isNaN(value)) missing[slot]!++;
          else sums[slot]! += value;
        }
      }
      writer.add(record);
      rows++;
    },
    get row() {
      return rows + rowOffset + 1;
    },
    finish() {
      if (rows === 0) throw new DatasetError('got 0 rows, wanted at least 1');
      const columns = assigned.features.map((column, slot): FeatureColumn => {
        const name = names[column]!;
        if (missing[slot] === rows)
          throw new DatasetError(`column '${name}' has no values, wanted some, or it ignored`);
        const known = categories.get(column);
        return {
          name,
          missing: missing[slot]!,
          places: known && [...known.keys()],
          mean: sums[slot]! / (rows - missing[slot]!),
        };
      });
      const about = { target: names[assigned.target]!, targets: target.finish(), rule: roles.missing ?? 'refuse' };
      return columnTable(writer.finish(), columns, about, limits);
    },
    [Symbol.dispose]: () => writer[Symbol.dispose](),
  };
  return reader;
}
