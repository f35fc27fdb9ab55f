import { readNumbers, writeNumbers } from './number-json.js';

const read = (text: string, datatype: string) => readNumbers(text, { from: 0, to: text.length }, datatype);

it.each(['FP32', 'FP64', 'INT8', 'INT16', 'INT32', 'INT64', 'UINT8', 'UINT16', 'UINT32', 'UINT64'])(
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
  ['INT64', '[1,9223372036854775808]'],
  ['INT64', '[-9223372036854775809]'],
  ['INT64', '[-10000000000000000000]'],
  ['INT64', '[100000000000000000000000000000000]'],
  ['INT64', '[1e3]'],
  ['UINT64', '[18446744073709551616]'],
  ['UINT64', '[99999999999999999999]'],
  ['UINT64', '[1,-1]'],
  ['UINT64', '[-9223372036854775808]'],
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

describe('integers of 64 bits', () => {
  const random = (
    (state) => () =>
      (state = (Math.imul(state, 1664525) + 1013904223) >>> 0)
  )(7);
  const around = (value: bigint) => [-2n, -1n, 0n, 1n, 2n].map((more) => value + more);
  const edges = [
    ...Array.from({ length: 65 }, (_, bit) => around(2n ** BigInt(bit))).flat(),
    ...Array.from({ length: 20 }, (_, digits) => around(10n ** BigInt(digits))).flat(),
  ];
  const anywhere = Array.from({ length: 20_000 }, () => {
    const bits = (BigInt(random()) << 32n) | BigInt(random());
    return bits >> BigInt(random() % 64);
  });
  const both = [...edges, ...anywhere].flatMap((value) => [value, -value]);

  it.each([
    ['INT64', both.filter((value) => BigInt.asIntN(64, value) === value), BigInt64Array],
    ['UINT64', both.filter((value) => BigInt.asUintN(64, value) === value), BigUint64Array],
  ] as const)('%s are read and written to the last digit, together and alone', (datatype, values, array) => {
    const text = `[${values.join()}]`;
    const { bytes } = read(text, datatype)!;
    expect(Buffer.compare(bytes, new Uint8Array(array.from(values).buffer))).toBe(0);
    expect(String(writeNumbers(datatype, bytes))).toBe(text);
    const wrong = values.filter((value) => {
      const alone = read(` [ ${value} ] `.trim(), datatype)!.bytes;
      return Buffer.compare(alone, new Uint8Array(array.of(value).buffer)) !== 0;
    });
    expect(wrong).toEqual([]);
  });

  it('are read from nested lists whose numbers no double holds', () => {
    const found = read('[ [9007199254740993,\n-0], [ -9223372036854775808 ,7]]', 'INT64')!;
    expect(found).toMatchObject({ nesting: [2, 2], count: 4 });
    expect([...new BigInt64Array(found.bytes.buffer)]).toEqual([9007199254740993n, 0n, -(2n ** 63n), 7n]);
  });
});
