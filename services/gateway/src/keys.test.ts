import { status } from '@grpc/grpc-js';
import { createKeyCheck, isLoopback } from './keys.js';

const keys = ['one-key-of-sixteen', 'another-key-of-sixteen'];

describe('a key check', () => {
  const check = createKeyCheck(keys);

  it.each(keys)('lets %s in', (key) => expect(() => check(`Bearer ${key}`)).not.toThrow());

  it.each([
    ['no header', undefined],
    ['an empty header', ''],
    ['an unknown key', 'Bearer one-key-of-sixteem'],
    ['the beginning of a key', 'Bearer one-key-of-sixtee'],
    ['a key and more', 'Bearer one-key-of-sixteen!'],
    ['another scheme', 'Basic one-key-of-sixteen'],
    ['no key', 'Bearer '],
  ])('refuses %s', (_, header) =>
    expect(() => check(header)).toThrow(expect.objectContaining({ code: status.UNAUTHENTICATED })),
  );

  it('shows no key in its error', () => expect(() => check('Bearer secret-that-is-wrong')).not.toThrow(/secret/));

  it('lets everyone in where there are no keys', () => expect(() => createKeyCheck([])(undefined)).not.toThrow());
});

it.each([
  ['127.0.0.1:80', true],
  ['127.8.8.8:80', true],
  ['localhost:80', true],
  ['[::1]:80', true],
  ['0.0.0.0:80', false],
  ['[::]:80', false],
  ['127.0.0.1.example.com:80', false],
  ['10.0.0.1:80', false],
])('whether %s is loopback: %s', (listen, loopback) => expect(isLoopback(listen)).toBe(loopback));
