import { createPaint, fit } from './paint.js';
import type { Paint } from './paint.js';

/** Where a screen writes: a terminal, a pipe or a file. */
export interface Output {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** Lines, and below them a few that are redrawn. */
export interface Screen {
  readonly paint: Paint;
  readonly columns: number;
  readonly isTerminal: boolean;
  print(text?: string): void;
  /** On a terminal the lines at the bottom; elsewhere the last of them, plain, every few seconds. */
  live(...lines: readonly [...string[], string]): void;
  /** Removes the lines at the bottom. */
  clear(): void;
}

const plainLineMs = 3_000;
const redrawMs = 60;
const erase = '\r\u001b[2K';
const eraseAbove = '\u001b[1A\u001b[2K';

export function createScreen(output: Output, { colours }: { colours: boolean }, now: () => number = Date.now): Screen {
  const isTerminal = output.isTTY === true;
  let shown: readonly string[] = [];
  const erased = () => erase + eraseAbove.repeat(Math.max(0, shown.length - 1));
  let drawnAt = -Infinity;
  const columns = () => (isTerminal ? (output.columns ?? 80) : 100);
  return {
    paint: createPaint(colours && isTerminal),
    isTerminal,
    get columns() {
      return columns() - 1;
    },
    print(text = '') {
      output.write(shown.length === 0 ? `${text}\n` : `${erased()}${text}\n${shown.join('\n')}`);
    },
    live(...lines) {
      if (now() - drawnAt < (isTerminal ? redrawMs : plainLineMs)) return;
      drawnAt = now();
      if (!isTerminal) return void output.write(`${lines.at(-1)}\n`);
      const before = shown.length === 0 ? erase : erased();
      shown = lines.map((line) => fit(line, columns() - 1));
      output.write(before + shown.join('\n'));
    },
    clear() {
      if (shown.length > 0) output.write(erased());
      shown = [];
      drawnAt = -Infinity;
    },
  };
}
