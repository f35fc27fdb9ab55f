import { chart } from './chart.js';
import { createPaint, widthOf } from './paint.js';

const plain = createPaint(false);
const line = (points: readonly (readonly [number, number])[]) => ({ name: 'loss', points, colour: 'cyan' as const });

describe('a chart', () => {
  it('falls from its largest to its smallest number', () => {
    const drawn = chart(
      [
        line([
          [0, 1],
          [10, 0],
        ]),
      ],
      21,
      3,
      plain,
    );
    expect(drawn).toEqual(
      [
        '        1 │⠑⠢⢄       ',
        '          │   ⠑⠢⡀    ',
        '        0 │     ⠈⠢⢄⡀ ',
        '           ━ loss   step 0 to 10',
      ].map((text, i) =>
        i < 3 ? expect.stringMatching(new RegExp(`^${text.slice(0, 11)}[\\u2800-\\u28ff ]{10}$`)) : text,
      ),
    );
    const columnOf = (row: string) => [...row].findIndex((letter) => letter >= '\u2801');
    expect(columnOf(drawn[0]!)).toBeLessThan(columnOf(drawn[1]!));
    expect(columnOf(drawn[1]!)).toBeLessThan(columnOf(drawn[2]!));
  });

  it.each([20, 60, 120])('is at most %i columns wide', (columns) => {
    const points = Array.from({ length: 500 }, (_, i) => [i, 1 / (i + 1)] as const);
    for (const row of chart([line(points)], columns, 8, plain).slice(0, -1))
      expect(widthOf(row)).toBeLessThanOrEqual(columns);
  });

  it('is logarithmic where the numbers span decades', () => {
    const points = [0, 1, 2, 3].map((i) => [i, 10 ** -i] as const);
    expect(chart([line(points)], 40, 5, plain).at(-1)).toContain('logarithmic');
    expect(
      chart(
        [
          line([
            [0, 3],
            [1, 2],
          ]),
        ],
        40,
        5,
        plain,
      ).at(-1),
    ).not.toContain('logarithmic');
  });

  it('stands one number, and leaves out what is none', () => {
    expect(chart([line([[1, 5]])], 40, 3, plain)).toHaveLength(4);
    expect(chart([line([[1, NaN]])], 40, 3, plain)).toEqual([]);
    expect(chart([], 40, 3, plain)).toEqual([]);
  });
});
