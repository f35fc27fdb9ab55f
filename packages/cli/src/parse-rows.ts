import { CliError } from './cli-error.js';
import { errorMessage } from './system-error.js';

/** Examples from lines of comma-separated values or JSON; a JSON list of lists is several. Nested lists are flattened. */
export function parseRows(lines: readonly string[]): number[][] {
  return lines.flatMap((line, index) => {
    const text = line.trim();
    if (!text.startsWith('['))
      return [
        numbers(
          text.split(',').map((cell) => cell.trim()),
          index,
        ),
      ];
    const value = parseJson(text, index);
    if (!Array.isArray(value)) throw new CliError(`row ${index + 1} is no list`);
    const isSeveral = Array.isArray(value[0]);
    return (isSeveral ? value : [value]).map((row) => numbers([row].flat(Infinity), index));
  });
}

function parseJson(text: string, index: number): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new CliError(`row ${index + 1} is no JSON: ${errorMessage(error)}`);
  }
}

function numbers(cells: readonly unknown[], row: number): number[] {
  return cells.map((cell, column) => {
    const value = typeof cell === 'string' && cell !== '' ? Number(cell) : cell;
    if (typeof value === 'number' && !Number.isNaN(value)) return value;
    throw new CliError(`row ${row + 1}, value ${column + 1} is ${JSON.stringify(cell)}, wanted a number`);
  });
}
