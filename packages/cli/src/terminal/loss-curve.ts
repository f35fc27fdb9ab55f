import type { trainer } from '@modelmill/client';
import { chart } from './chart.js';
import type { Paint } from './paint.js';

const rows = 10;

/** Training and held-out loss over the steps, as lines of text; none where nothing is known yet. */
export function lossCurve(lines: readonly trainer.TrainingHistoryLine[], columns: number, paint: Paint): string[] {
  const pointsOf = (evaluation: boolean) =>
    lines.flatMap((line) => {
      const loss = line.figures['loss'];
      return line.evaluation === evaluation && loss !== undefined ? [[Number(line.step), loss] as const] : [];
    });
  return chart(
    [
      { name: 'training loss', points: pointsOf(false), colour: 'dim' },
      { name: 'held-out loss', points: pointsOf(true), colour: 'cyan' },
    ],
    columns,
    rows,
    paint,
  );
}
