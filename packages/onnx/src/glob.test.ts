import { globPattern } from './glob.js';

describe('globs', () => {
  it.each([
    ['layer0.*', 'layer0.weight', true],
    ['layer0.*', 'layer01.weight', false],
    ['*', 'any/thing::at.all', true],
    ['h?d', 'head', false],
    ['h?ad', 'head', true],
    ['a+(b)', 'a+(b)', true],
  ])('%s on %s: %s', (glob, name, fits) => expect(globPattern(glob).test(name)).toBe(fits));
});
