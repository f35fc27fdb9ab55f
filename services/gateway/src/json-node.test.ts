import { plain, readJsonObject, textOf } from './json-node.js';

describe('a JSON body', () => {
  it('reads as JSON.parse reads it, integers beyond a double excepted', () => {
    const text = '{"a":[1,-2.5,1e3,true,null,"x"],"big":9007199254740993,"b":{"c":[]}}';
    const { big, ...rest } = plain(readJsonObject(text)) as Record<string, unknown>;
    const { big: _, ...expected } = JSON.parse(text) as Record<string, unknown>;
    expect(JSON.parse(JSON.stringify(rest))).toEqual(expected);
    expect(big).toBe('9007199254740993');
  });

  it('can set no prototype', () =>
    expect(() => plain(readJsonObject('{"a":{"__proto__":{"admin":true}}}'))).toThrow("key '__proto__' is not taken"));

  it('holds a string of a million characters, and not a million values', () => {
    const long = `"${'\\"x'.repeat(500_000)}"`;
    expect((plain(readJsonObject(`{"a":${long}}`)) as { a: string }).a).toHaveLength(1_000_000);
    expect(() => readJsonObject(`{"a":[${'1,'.repeat(1_000_000)}1]}`)).toThrow('more than 200000 values');
  });

  it.each([
    ['a byte-order mark', Buffer.from('\ufeff{}')],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0xff, 0x7d])],
    ['a number beyond a double', Buffer.from('{"a":1e400}')],
    ['NaN', Buffer.from('{"a":NaN}')],
    ['a key twice', Buffer.from('{"a":1,"a":2}')],
  ])('is refused for %s', (_, bytes) => expect(() => plain(readJsonObject(textOf(bytes)))).toThrow());
});
