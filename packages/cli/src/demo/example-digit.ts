import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** One handwritten digit: 64 pixels from 0 to 16, row by row, and what it is. */
export interface ExampleDigit {
  readonly pixels: readonly number[];
  readonly digit: number;
}

/** One row of the digits file, from 0. */
export function readDigit(path: string, row: number): ExampleDigit {
  const line = gunzipSync(readFileSync(path)).toString().split('\n')[row] ?? '';
  const values = line.split(',').map(Number);
  return { pixels: values.slice(0, 64), digit: values[64] ?? NaN };
}

/** Eight lines of two columns per pixel. */
export function drawDigit({ pixels }: ExampleDigit): string[] {
  const shades = [' ', '░', '▒', '▓', '█'];
  return Array.from({ length: 8 }, (_, row) =>
    pixels
      .slice(row * 8, row * 8 + 8)
      .map((value) => (shades[Math.round(value / 4)] ?? ' ').repeat(2))
      .join(''),
  );
}
