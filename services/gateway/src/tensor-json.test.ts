import { JsonTextError, readJson } from './json-text.js';
import { JsonDatatypeError, readTensorJson, writeNestedJson, writeTensorJson } from './tensor-json.js';

const read = (text: string, datatype: string) => readTensorJson(text, { from: 0, to: text.length }, datatype);
const roundTrip = (text: string, datatype: string) => String(writeTensorJson(datatype, read(text, datatype).bytes));

describe('tensor JSON', () => {
  it.each([
    ['INT64', '[9007199254740993,-9223372036854775808,9223372036854775807]'],
    ['UINT64', '[18446744073709551615,0]'],
    ['INT8', '[-128,127]'],
    ['UINT16', '[0,65535]'],
    ['BOOL', '[true,false]'],
    ['FP32', '[0.1,-0,16777216,1e-45,3.4028235e+38,0.33333334]'],
    ['FP64', '[0.1,-0,1e+300,5e-324]'],
    ['FP32', '["NaN","Infinity","-Infinity"]'],
    ['BYTES', '["","grüße","\\u0000"]'],
  ])('%s keeps every value of %s', (datatype, text) => expect(roundTrip(text, datatype)).toBe(text));

  it.each(['FP32', 'INT64', 'UINT8', 'BYTES'])('holds many values of %s', (datatype) => {
    const values = Array.from({ length: 5_000 }, (_, i) => (datatype === 'BYTES' ? `"${i}"` : String(i % 200)));
    expect(roundTrip(`[${values.join(',')}]`, datatype)).toBe(`[${values.join(',')}]`);
  });

  it('takes the bare tokens that Triton writes, and writes strings that every JSON parser reads', () =>
    expect(roundTrip('[NaN, -Infinity]', 'FP64')).toBe('["NaN","-Infinity"]'));

  it.each([
    ['INT8', '[128]'],
    ['INT64', '[9223372036854775808]'],
    ['INT32', '[1.5]'],
    ['UINT8', '[-1]'],
    ['FP32', '[1e400]'],
    ['FP32', '[1e39]'],
    ['FP32', '["constructor"]'],
    ['FP64', '["toString"]'],
    ['FP32', '["four"]'],
    ['FP32', '[null]'],
    ['FP32', '[1,]'],
    ['BYTES', '[1]'],
    ['BOOL', '[2]'],
  ])('%s refuses %s', (datatype, text) => expect(() => read(text, datatype)).toThrow(JsonTextError));

  it.each(['FP16', 'constructor', '__proto__'])('has no form for %s', (datatype) =>
    expect(() => read('[1]', datatype)).toThrow(JsonDatatypeError),
  );

  it.each([
    ['[1,2,3]', [3]],
    ['[[1,2],[3,4]]', [2, 2]],
    ['[[],[]]', [2, 0]],
    ['7', []],
    ['[[1,2],[3]]', undefined],
    ['[1,[2]]', undefined],
    ['[[1],2]', undefined],
  ])('tells the nesting of %s', (text, nesting) => expect(read(text, 'INT32').nesting).toEqual(nesting));

  it('nests as the shape says', () =>
    expect(writeNestedJson('INT32', read('[1,2,3,4,5,6]', 'INT32').bytes, [3, 2])).toBe('[[1,2],[3,4],[5,6]]'));
});

describe('readJson', () => {
  it('reads what JSON.parse reads', () => {
    const text = ' {"a": [true, null, "x\\n"], "b": {"c": -1.5e3}, "": []} ';
    expect(readJson(text)).toEqual(
      new Map<string, unknown>([
        ['a', [true, null, 'x\n']],
        ['b', new Map([['c', { literal: '-1.5e3' }]])],
        ['', []],
      ]),
    );
  });

  it('leaves the values of raw keys to be read later', () => {
    const text = '{"data": [["]", 1], {"x": "}"}], "after": 1}';
    const object = readJson(text, new Set(['data'])) as ReadonlyMap<string, { from: number; to: number }>;
    const { from, to } = object.get('data')!;
    expect(text.slice(from, to)).toBe('[["]", 1], {"x": "}"}]');
    expect(object.get('after')).toEqual({ literal: '1' });
  });

  it.each([
    ['a key twice', '{"a":1,"a":2}'],
    ['trailing text', '{} {}'],
    ['a byte-order mark', '\ufeff{}'],
    ['half a surrogate pair', '"\\ud800"'],
    ['a control character', '"\u0001"'],
    ['leading zeros', '[01]'],
    ['an open array', '[1'],
    ['nothing', ''],
    ['a million brackets', '['.repeat(1_000_000)],
  ])('refuses %s', (_, text) => expect(() => readJson(text)).toThrow(JsonTextError));

  it('gives __proto__ no power', () => {
    const object = readJson('{"__proto__":{"admin":true}}') as ReadonlyMap<string, unknown>;
    expect(object.has('__proto__')).toBe(true);
    expect((object as unknown as { admin?: boolean }).admin).toBeUndefined();
  });
});
