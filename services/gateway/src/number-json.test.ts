import { readNumbers, shortest32, writeNumbers } from './number-json.js';

const read = (text: string, datatype: string) => readNumbers(text, { from: 0, to: text.length }, datatype);

/** Float32s of all sizes: random bits, and numbers as models give them. */
function floats(count: number): Float32Array {
  const bits = new Uint32Array(count);
  let state = 1;
  for (let i = 0; i < count; i++) bits[i] = state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  const values = new Float32Array(bits.buffer);
  for (let i = 0; i < count; i += 2) values[i] = (bits[i]! / 2 ** 32 - 0.5) * 10 ** (i % 9);
  return values.filter((value) => Number.isFinite(value));
}

it('no float32 is written with more digits than it takes to read it back', () => {
  for (const value of floats(40_000)) {
    const written = shortest32(value);
    expect(Math.fround(written)).toBe(value);
    const digits = String(written).replace(/e.*|[-.]/g, '').replace(/^0+|0+$/g, '').length; // prettier-ignore
    const fewest = [1, 2, 3, 4, 5, 6, 7, 8, 9].find((n) => Math.fround(Number(value.toPrecision(n))) === value)!;
    if (digits > fewest) expect([value, written]).toEqual([value, Number(value.toPrecision(fewest))]);
  }
});

it.each(['FP32', 'FP64', 'INT8', 'INT16', 'INT32', 'UINT8', 'UINT16', 'UINT32'])(
  'writes and reads %s, nested or not',
  (datatype) => {
    const found = read('[[1, 2, 3], [4, 5, 100]]', datatype)!;
    expect(found).toMatchObject({ count: 6, nesting: [2, 3] });
    expect(writeNumbers(datatype, found.bytes)).toBe('[1,2,3,4,5,100]');
  },
);

it('writes tensors that begin anywhere in a buffer', () => {
  const { bytes } = read('[0.1,-2.5]', 'FP32')!;
  const shifted = Buffer.concat([Buffer.alloc(3), bytes]).subarray(3);
  expect(writeNumbers('FP32', shifted)).toBe('[0.1,-2.5]');
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
  ['FP32', [NaN]],
  ['FP32', [Infinity]],
  ['FP32', [-0]],
] as const)('leaves %s %j to the writer that goes element by element', (datatype, values) =>
  expect(writeNumbers(datatype, new Uint8Array(Float32Array.from(values).buffer))).toBeUndefined(),
);
