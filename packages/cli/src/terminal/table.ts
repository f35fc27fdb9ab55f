import { widthOf } from './paint.js';

/** A cell; numbers are set to the right. */
export type Cell = string | number | undefined;

/** Rows under a header, in aligned columns. */
export function table(
  header: readonly string[],
  rows: readonly (readonly Cell[])[],
  dim = (text: string) => text,
): string {
  const cells = rows.map((row) => row.map((cell) => (cell === undefined ? '' : String(cell))));
  const isNumeric = header.map((_, column) => {
    const filled = cells.map((row) => row[column] ?? '').filter((cell) => cell !== '');
    return filled.length > 0 && filled.every((cell) => /^[-+]?\d/.test(cell));
  });
  const widths = header.map((name, column) =>
    Math.max(widthOf(name), ...cells.map((row) => widthOf(row[column] ?? ''))),
  );
  const line = (row: readonly string[]) =>
    header
      .map((_, column) => {
        const cell = row[column] ?? '';
        const gap = ' '.repeat(widths[column]! - widthOf(cell));
        return isNumeric[column] ? gap + cell : cell + gap;
      })
      .join('  ')
      .trimEnd();
  return [dim(line(header)), ...cells.map(line)].join('\n');
}
