import { readNumberList } from './number-list.js';

const read = (text: string, from = 0) => readNumberList(Buffer.from(text), from);

it.each([
  ['[1]', [1]],
  ['[1,-2.5,3e2]', [3]],
  [' [ 1 ,\n[', undefined],
  ['[[1,2,3],[4,5,6]]', [2, 3]],
  ['[ [\t[1] , [2] ],\r\n[[3],[4] ] ]', [2, 2, 1]],
  ['[[[[[[[[7]]]]]]]]', [1, 1, 1, 1, 1, 1, 1, 1]],
])('reads %j with its nesting', (text, nesting) => {
  const found = read(text);
  expect(found?.nesting).toEqual(nesting);
  if (found) expect([...found.values]).toEqual((JSON.parse(text) as number[]).flat(8));
});

it('stops behind the list, wherever it lies', () => {
  expect(read('{"data":[1,2] ,"x":[3]}', 8)).toMatchObject({ nesting: [2], to: 13 });
});

it('holds many numbers', () => {
  const numbers = Array.from({ length: 10_000 }, (_, i) => i / 8);
  expect([...read(JSON.stringify(numbers))!.values]).toEqual(numbers);
});

it('tells whether all are written as integers', () => {
  expect(read('[1,-2]')!.whole).toBe(true);
  for (const text of ['[1,2.0]', '[1e3]', '[1,2E1]']) expect(read(text)!.whole).toBe(false);
});

it.each([
  '',
  '1',
  '[]',
  '[1,]',
  '[,1]',
  '[1 2]',
  '[1',
  '[1,2',
  '[[1,2],[3]]',
  '[[1],2]',
  '[1,[2]]',
  '[[1,[2]],3]',
  '[[1],[]]',
  '[[1]',
  '[1}',
  '[01]',
  '[true]',
  '["1"]',
  '[\u00a01]',
  '[[[[[[[[[7]]]]]]]]]',
])('leaves %j to others', (text) => expect(read(text)).toBeUndefined());
