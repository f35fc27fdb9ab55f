import { createPaint, fit } from './paint.js';
import type { Paint } from './paint.js';

/** Where a screen writes: a terminal, a pipe or a file. */
export interface Output {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** Lines, and below them at most one that is redrawn. */
export interface Screen {
  readonly paint: Paint;
  readonly columns: number;
  print(text?: string): void;
  /** On a terminal the line at the bottom; elsewhere a plain line every few seconds. */
  live(line: string): void;
  /** Removes the line at the bottom. */
  clear(): void;
}

const plainLineMs = 3_000;
const redrawMs = 60;
const erase = '\r\u001b[2K';

export function createScreen(output: Output, { colours }: { colours: boolean }, now: () => number = Date.now): Screen {
  const isTerminal = output.isTTY === true;
  let shown = '';
  let drawnAt = -Infinity;
  const columns = () => (isTerminal ? (output.columns ?? 80) : 100);
  return {
    paint: createPaint(colours && isTerminal),
    get columns() {
      return columns() - 1;
    },
    print(text = '') {
      output.write(shown === '' ? `${text}\n` : `${erase}${text}\n${shown}`);
    },
    live(line) {
      if (now() - drawnAt < (isTerminal ? redrawMs : plainLineMs)) return;
      drawnAt = now();
      if (!isTerminal) return void output.write(`${line}\n`);
      shown = fit(line, columns() - 1);
      output.write(erase + shown);
    },
    clear() {
      if (shown !== '') output.write(erase);
      shown = '';
      drawnAt = -Infinity;
    },
  };
}
