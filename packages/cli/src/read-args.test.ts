import { UsageError } from './cli-error.js';
import { numberFlag, pick, readArgs, words } from './read-args.js';

describe('a command line', () => {
  it('has flags and words', () => {
    const { values, positionals } = readArgs(['digits', '--rows', '3', '--json'], {
      rows: { type: 'string' },
      json: { type: 'boolean' },
    });
    expect({ ...values, positionals }).toEqual({ rows: '3', json: true, positionals: ['digits'] });
  });

  it.each<[string, () => unknown]>([
    ["unknown option '--row'", () => readArgs(['--row', '3'], { rows: { type: 'string' } })],
    ["option '--rows <value>' argument missing", () => readArgs(['--rows'], { rows: { type: 'string' } })],
    ['NAME is missing', () => words([], 'NAME', 'VERSION?')],
    ["'x' is one word too many", () => words(['digits', '1', 'x'], 'NAME', 'VERSION?')],
    ["--rows is 'many', wanted a number from 1 to 100", () => numberFlag('rows', 'many', { min: 1, max: 100 })],
    ["--rows is '', wanted a number from 1 to 100", () => numberFlag('rows', '', { min: 1, max: 100 })],
    ["--rows is '101', wanted a number from 1 to 100", () => numberFlag('rows', '101', { min: 1, max: 100 })],
    ["'lst' is none of list, get", () => pick({ list: 1, get: 2 }, ['lst'])],
    ["'toString' is none of list, get", () => pick({ list: 1, get: 2 }, ['toString'])],
  ])('that is wrong is told: %s', (message, read) => {
    expect(read).toThrow(UsageError);
    expect(read).toThrow(message);
  });

  it('without a sub-command means the first', () => {
    expect(pick({ list: 1, get: 2 }, [])).toEqual([1, []]);
    expect(pick({ list: 1, get: 2 }, ['--json'])).toEqual([1, ['--json']]);
    expect(pick({ list: 1, get: 2 }, ['get', 'x'])).toEqual([2, ['x']]);
  });
});
