import { parseRows } from './parse-rows.js';

describe('rows', () => {
  it.each([
    [['1, 2,-3.5'], [[1, 2, -3.5]]],
    [
      ['1,2', '3,4'],
      [
        [1, 2],
        [3, 4],
      ],
    ],
    [['[1, 2]'], [[1, 2]]],
    [
      ['[[1, 2], [3, 4]]'],
      [
        [1, 2],
        [3, 4],
      ],
    ],
    [['[[[1, 2], [3, 4]]]'], [[1, 2, 3, 4]]],
  ])('%j', (lines, wanted) => expect(parseRows(lines)).toEqual(wanted));

  it.each([
    [['1,2', '1,x'], 'row 2, value 2 is "x", wanted a number'],
    [['1,,2'], 'row 1, value 2 is "", wanted a number'],
    [['[1, null]'], 'row 1, value 2 is null, wanted a number'],
    [['[1, 2'], 'row 1 is no JSON'],
  ])('%j is refused with its place', (lines, message) => expect(() => parseRows(lines)).toThrow(message));
});
