import { pipeline } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { contentError, openContent } from './content.js';
import { DatasetError } from './table.js';
import type { Table, TableLimits } from './table.js';

export interface CsvFormat {
  readonly kind: 'csv';
  /** Whether the first row names the columns. Without names they are c0, c1, … */
  readonly header: boolean;
  /** '': the last column. */
  readonly target: string;
}

const number = /^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;
/** Integers with more distinct values than this are numbers to predict, not classes. */
const mostIntegerClasses = 100;

export async function readCsv(path: string, { header, target }: CsvFormat, limits: TableLimits): Promise<Table> {
  const records = parse({
    bom: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: limits.rowBytes,
    trim: true,
  });
  pipeline(await openContent(path, limits.decodedBytes), records, () => {});
  let columns: readonly string[] | undefined;
  let targetAt = -1;
  let row = 0;
  const features = growing();
  const targets: string[] = [];
  try {
    for await (const cells of records as AsyncIterable<string[]>) {
      row++;
      if (columns === undefined) {
        columns = header ? cells : cells.map((_, i) => `c${i}`);
        targetAt = checkColumns(columns, target, limits);
        if (header) continue;
      }
      if (cells.length !== columns.length) {
        throw new DatasetError(`row ${row}: got ${cells.length} columns, wanted ${columns.length}`);
      }
      if (targets.length >= limits.rows) throw new DatasetError(`row ${row}: wanted at most ${limits.rows} rows`);
      for (let i = 0; i < cells.length; i++) {
        const cell = cells[i]!;
        if (i === targetAt) targets.push(targetCell(cell, row, columns[i]!));
        else features.push(numberCell(cell, row, columns[i]!));
      }
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw contentError(error);
    throw new DatasetError(`row ${row + 1}: ${error.message}`, { cause: error });
  }
  if (columns === undefined || targets.length === 0) throw new DatasetError('got 0 rows, wanted at least 1');
  const featureNames = columns.filter((_, i) => i !== targetAt);
  return {
    rows: targets.length,
    featureShape: [featureNames.length],
    featureNames,
    target: columns[targetAt]!,
    features: features.values(),
    ...labels(targets, columns[targetAt]!, limits),
  };
}

function checkColumns(columns: readonly string[], target: string, limits: TableLimits): number {
  if (columns.length > limits.columns) {
    throw new DatasetError(`row 1: got ${columns.length} columns, wanted at most ${limits.columns}`);
  }
  if (columns.length < 2) throw new DatasetError(`row 1: got ${columns.length} columns, wanted features and a target`);
  const twice = columns.find((name, i) => columns.indexOf(name) !== i);
  if (twice !== undefined) throw new DatasetError(`row 1: column '${twice}' is there twice`);
  if (target === '') return columns.length - 1;
  const at = columns.indexOf(target);
  if (at < 0) throw new DatasetError(`there is no column '${target}', got ${columns.slice(0, 20).join(', ')}`);
  return at;
}

function numberCell(cell: string, row: number, column: string): number {
  const value = number.test(cell) ? Number(cell) : NaN;
  if (!Number.isFinite(Math.fround(value))) throw badCell(cell, row, column, 'a number');
  return value;
}

function targetCell(cell: string, row: number, column: string): string {
  if (cell === '') throw badCell(cell, row, column, 'a class or a number');
  return cell;
}

const badCell = (cell: string, row: number, column: string, wanted: string) =>
  new DatasetError(`row ${row}, column '${column}': got '${cell.slice(0, 60)}', wanted ${wanted}`);

/** A target is a class where any value is text, or where all are integers of few distinct values. */
function labels(
  cells: readonly string[],
  column: string,
  limits: TableLimits,
): { classes: string[] | undefined; targets: Float32Array } {
  const distinct = [...new Set(cells)];
  const numeric = distinct.every((cell) => number.test(cell));
  const integers = numeric && distinct.every((cell) => Number.isInteger(Number(cell)));
  if (numeric && !(integers && distinct.length <= mostIntegerClasses)) {
    return { classes: undefined, targets: Float32Array.from(cells, Number) };
  }
  if (distinct.length > limits.classes) {
    throw new DatasetError(`column '${column}' has ${distinct.length} classes, wanted at most ${limits.classes}`);
  }
  if (distinct.length < 2) throw new DatasetError(`column '${column}' has 1 class, wanted at least 2`);
  const classes = numeric ? distinct.sort((a, b) => Number(a) - Number(b)) : distinct.sort();
  const index = new Map(classes.map((name, i) => [name, i]));
  return { classes, targets: Float32Array.from(cells, (cell) => index.get(cell)!) };
}

/** Floats of a number not known before. */
function growing() {
  let values = new Float32Array(1024);
  let length = 0;
  return {
    push(value: number) {
      if (length === values.length) {
        const wider = new Float32Array(2 * length);
        wider.set(values);
        values = wider;
      }
      values[length++] = value;
    },
    values: () => values.slice(0, length),
  };
}
