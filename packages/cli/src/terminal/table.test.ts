import { createPaint } from './paint.js';
import { table } from './table.js';

describe('a table', () => {
  it('is aligned: words to the left, figures to the right', () =>
    expect(
      table(
        ['model', 'versions', 'size'],
        [
          ['digits', 4, '1.2 MB'],
          ['a-longer-name', 12, undefined],
        ],
      ),
    ).toBe(
      ['model          versions    size', 'digits                4  1.2 MB', 'a-longer-name        12'].join('\n'),
    ));

  it('counts no colours', () => {
    const { bold } = createPaint(true);
    const [, first, second] = table(
      ['a', 'b'],
      [
        [bold('x'), 'y'],
        ['xx', 'y'],
      ],
    ).split('\n');
    expect(first!.replace(bold('x'), 'x ').indexOf('y')).toBe(second!.indexOf('y') + 1);
    expect(first).toBe(`${bold('x')}   y`);
  });
});
