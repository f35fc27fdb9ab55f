import { columnKinds } from './column-reader.js';
import type { ColumnReader } from './column-reader.js';
import { DatasetError } from './table.js';

const [tab, lineFeed, carriageReturn, blank, quote, comma, minus, point, zero] = [9, 10, 13, 32, 34, 44, 45, 46, 48];
/** Whole numbers of so many digits, divided by such a power, give the double nearest to what is written (Clinger 1990). */
const exactDigits = 15;
const powers = Array.from({ length: exactDigits + 1 }, (_, exponent) => 10 ** exponent);

/** Where a row ended, or -1: it goes on behind the bytes there are. */
type End = number;

/** Reads rows of comma-separated values (RFC 4180; CR, LF or both; blanks around cells ignored) into `reader`. */
export function createCsvScanner(reader: ColumnReader) {
  const { kinds, slots, record, names } = reader;
  const columns = names.length;

  /** `bytes[end]` must be there and 0. */
  function scanRow(bytes: Buffer, start: number, end: number, isLast: boolean): End {
    let at = start;
    for (let column = 0; ; column++) {
      const kind = column < columns ? kinds[column]! : columnKinds.ignored;
      let stop = -1;
      if (kind === columnKinds.number || kind === columnKinds.target) {
        let i = at;
        while (bytes[i] === blank) i++;
        const isNegative = bytes[i] === minus;
        if (isNegative) i++;
        let value = 0;
        const first = i;
        for (let digit; (digit = bytes[i]! - zero) >= 0 && digit <= 9; i++) value = value * 10 + digit;
        let digits = i - first;
        let decimals = 0;
        if (bytes[i] === point) {
          const after = ++i;
          for (let digit; (digit = bytes[i]! - zero) >= 0 && digit <= 9; i++) value = value * 10 + digit;
          decimals = i - after;
          digits += decimals;
        }
        const next = bytes[i]!;
        if (digits > 0 && digits <= exactDigits && (next === comma || next === lineFeed || next === carriageReturn)) {
          if (decimals > 0) value /= powers[decimals]!;
          if (isNegative) value = -value;
          const kept = kind === columnKinds.number ? value : reader.keptTarget(value);
          if (kept !== undefined) {
            record[slots[column]!] = kept;
            stop = i;
          }
        }
      }
      if (stop < 0) {
        stop = scanCell(bytes, at, end, column);
        if (stop < 0) return -1;
      }
      if (bytes[stop] === comma) {
        at = stop + 1;
        continue;
      }
      if (bytes[stop] === carriageReturn && stop + 1 === end && !isLast) return -1;
      const behind = bytes[stop] === carriageReturn && bytes[stop + 1] === lineFeed ? stop + 2 : stop + 1;
      if (column === 0 && isBlank(bytes, start, stop)) return behind;
      if (column + 1 !== columns) throw wrongCount(column + 1);
      reader.endRow();
      return behind;
    }
  }

  const wrongCount = (got: number) => new DatasetError(`row ${reader.row}: got ${got} columns, wanted ${columns}`);

  /** Hands over one cell; where it ends, or -1. */
  function scanCell(bytes: Buffer, start: number, end: number, column: number): End {
    const cell = cellAt(bytes, start, end, reader.row);
    if (cell === undefined) return -1;
    if (column < columns && !(column === 0 && bytes[cell.end] !== comma)) {
      if (kinds[column] !== columnKinds.ignored) handOver(bytes, start, end, column, textOf(bytes, cell));
    }
    return cell.end;
  }

  function handOver(bytes: Buffer, start: number, end: number, column: number, text: string): void {
    try {
      reader.text(column, text);
    } catch (error) {
      // a row of the wrong length is what is wrong first
      let got = column + 1;
      for (let at = start; ; got++) {
        const cell = cellAt(bytes, at, end, reader.row);
        if (cell === undefined || bytes[cell.end] !== comma) break;
        at = cell.end + 1;
      }
      throw got === columns ? error : wrongCount(got);
    }
  }

  return { scanRow };
}

interface Cell {
  /** Without quotes and the blanks around it. */
  readonly from: number;
  readonly to: number;
  readonly hasQuotes: boolean;
  /** Where its comma or line end is. */
  readonly end: number;
}

const isBlank = (bytes: Buffer, from: number, to: number) => {
  while (from < to && (bytes[from] === blank || bytes[from] === tab)) from++;
  return from === to;
};

export const textOf = (bytes: Buffer, { from, to, hasQuotes }: Cell) =>
  hasQuotes ? bytes.toString('utf8', from, to).replaceAll('""', '"') : bytes.toString('utf8', from, to);

/** The cell that begins at `start`; undefined where it goes on behind `end`. */
export function cellAt(bytes: Buffer, start: number, end: number, row: number): Cell | undefined {
  let at = start;
  while (bytes[at] === blank || bytes[at] === tab) at++;
  if (bytes[at] === quote) {
    const from = ++at;
    for (; ; at += 2) {
      at = bytes.indexOf(quote, at);
      if (at < 0 || at + 1 >= end) return undefined;
      if (bytes[at + 1] !== quote) break;
    }
    const to = at++;
    while (bytes[at] === blank || bytes[at] === tab) at++;
    if (at >= end) return undefined;
    if (!isCellEnd(bytes[at]!)) throw new DatasetError(`row ${row}: a quote closes within a cell`);
    return { from, to, hasQuotes: true, end: at };
  }
  const from = at;
  for (; at < end && !isCellEnd(bytes[at]!); at++) {
    if (bytes[at] === quote) throw new DatasetError(`row ${row}: a quote within a cell that does not begin with one`);
  }
  if (at >= end) return undefined;
  let to = at;
  while (to > from && (bytes[to - 1] === blank || bytes[to - 1] === tab)) to--;
  return { from, to, hasQuotes: false, end: at };
}

const isCellEnd = (byte: number) => byte === comma || byte === lineFeed || byte === carriageReturn;
