import { readNumbers, writeNumbers } from './number-json.js';

const read = (text: string, datatype: string) => readNumbers(text, { from: 0, to: text.length }, datatype);

it.each(['FP32', 'FP64', 'INT8', 'INT16', 'INT32', 'UINT8', 'UINT16', 'UINT32'])(
  'writes and reads %s, nested or not',
  (datatype) => {
    const found = read('[[1, 2, 3], [4, 5, 100]]', datatype)!;
    expect(found).toMatchObject({ count: 6, nesting: [2, 3] });
    expect(String(writeNumbers(datatype, found.bytes))).toBe('[1,2,3,4,5,100]');
  },
);

it('writes tensors that begin anywhere in a buffer', () => {
  const { bytes } = read('[0.1,-2.5]', 'FP32')!;
  const shifted = Buffer.concat([Buffer.alloc(3), bytes]).subarray(3);
  expect(String(writeNumbers('FP32', shifted))).toBe('[0.1,-2.5]');
});

it.each([
  ['INT8', '[128]'],
  ['INT32', '[1.5]'],
  ['INT32', '[1e3]'],
  ['UINT8', '[-1]'],
  ['FP32', '[1e39]'],
  ['FP64', '[1e400]'],
  ['FP32', '["NaN"]'],
  ['FP32', '[NaN]'],
  ['FP32', '[01]'],
  ['FP32', '[1]x'],
  ['FP32', '["ı"]'],
  ['FP32', '[1,]'],
  ['FP32', '[]'],
  ['FP32', '[[1,2],[3]]'],
  ['FP32', '[[1],2]'],
  ['FP32', '[1,[2]]'],
  ['FP32', '[[1,2,3,4,5,6,7,8],0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]'],
  ['FP32', `${'['.repeat(9)}1${']'.repeat(9)}`],
  ['INT64', '[1]'],
  ['BOOL', '[true]'],
  ['BYTES', '["a"]'],
])('leaves %s %s to the reader that goes element by element', (datatype, text) =>
  expect(read(text, datatype)).toBeUndefined(),
);

it.each([
  ['NaN', NaN],
  ['Infinity', Infinity],
  ['-0', -0],
])('leaves FP64 %s to the writer that goes element by element', (_, value) =>
  expect(writeNumbers('FP64', new Uint8Array(Float64Array.of(value).buffer))).toBeUndefined(),
);
