import type { Closing } from '../closing.js';
import type { TorchAnswers } from '../racer.js';

/** What the cases of answers need: PyTorch's side, and who closes what they open. */
export interface Asked {
  readonly opened: Closing;
  readonly torch: TorchAnswers;
  readonly against: string;
}

/** Answers of a round, which take about a third of a second on a large GPU: of one row, of 32 rows, and rows of many callers. */
export const answersOf = [
  { shape: 'resnet50', one: 100, batched: 10, rows: 640 },
  { shape: 'bert', one: 150, batched: 10, rows: 640 },
  { shape: 'mlp', one: 500, batched: 200, rows: 6400 },
] as const;

export const inMs = { unit: 'ms', better: 'lower', goal: null } as const;
export const perSecond = { unit: 'rows/s', better: 'higher', goal: null } as const;
