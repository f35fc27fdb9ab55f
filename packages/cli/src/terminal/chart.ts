import type { Paint } from './paint.js';

/** Points of a line, by ascending x. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly colour: keyof Pick<Paint, 'cyan' | 'green' | 'dim'>;
}

const [across, down] = [2, 4]; // dots of a braille character
const dotBits = [
  [0x01, 0x02, 0x04, 0x40],
  [0x08, 0x10, 0x20, 0x80],
] as const;
/** From this ratio of the largest to the smallest on, the axis is logarithmic. */
const logFrom = 30;
const labelWidth = 9;

/** A line chart of braille dots: its lines of text, each at most `columns` wide. Later series lie over earlier ones. */
export function chart(series: readonly Series[], columns: number, rows: number, paint: Paint): string[] {
  const points = series.flatMap((one) => one.points.filter(([, y]) => Number.isFinite(y)));
  if (points.length === 0) return [];
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const isLog = low > 0 && high / low > logFrom;
  const scale = (y: number) => (isLog ? Math.log(y) : y);
  const width = Math.max(4, columns - labelWidth - 2);
  const [dotsAcross, dotsDown] = [width * across, rows * down];
  const column = (x: number) => (right === left ? 0 : Math.round(((x - left) / (right - left)) * (dotsAcross - 1)));
  const span = scale(high) - scale(low);
  const row = (y: number) =>
    span === 0 ? dotsDown - 1 : Math.round(((scale(high) - scale(y)) / span) * (dotsDown - 1));

  const cells = Array.from({ length: rows }, () =>
    Array.from({ length: width }, () => ({ bits: 0, colour: '' as string })),
  );
  const dot = (x: number, y: number, colour: string) => {
    const cell = cells[Math.floor(y / down)]![Math.floor(x / across)]!;
    cell.bits |= dotBits[x % across]![y % down]!;
    cell.colour = colour;
  };
  for (const { points: own, colour } of series) {
    let before: readonly [number, number] | undefined;
    for (const [x, y] of own) {
      if (!Number.isFinite(y)) continue;
      const at = [column(x), row(y)] as const;
      for (const [dx, dy] of between(before ?? at, at)) dot(dx, dy, colour);
      before = at;
    }
  }
  const lines = cells.map((cellsOfRow, at) => {
    const label = at === 0 ? short(high) : at === rows - 1 ? short(low) : '';
    const drawn = cellsOfRow.map(({ bits, colour }) => {
      const letter = bits === 0 ? ' ' : String.fromCodePoint(0x2800 + bits);
      return bits === 0 ? letter : paint[colour as Series['colour']](letter);
    });
    return `${label.padStart(labelWidth)} ${paint.dim('│')}${drawn.join('')}`;
  });
  const legend = series
    .filter((one) => one.points.length > 0)
    .map(({ name, colour }) => `${paint[colour]('━')} ${name}`);
  const steps = `step ${left} to ${right}${isLog ? ', logarithmic' : ''}`;
  return [...lines, `${' '.repeat(labelWidth + 2)}${[...legend, paint.dim(steps)].join('   ')}`];
}

const short = (value: number) => Number(value.toPrecision(4)).toString().slice(0, labelWidth);

/** The dots of a straight line. */
function between([x0, y0]: readonly [number, number], [x1, y1]: readonly [number, number]) {
  const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0), 1);
  return Array.from({ length: steps + 1 }, (_, i): [number, number] => [
    Math.round(x0 + ((x1 - x0) * i) / steps),
    Math.round(y0 + ((y1 - y0) * i) / steps),
  ]);
}
