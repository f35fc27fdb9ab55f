import { createHostCheck } from './host-check.js';

const loopback = createHostCheck('127.0.0.1:8080', ['mill.example.com']);
const beyond = createHostCheck('0.0.0.0:8080', []);

describe('a host check', () => {
  it.each(['127.0.0.1:8080', 'localhost:9', '[::1]:8080', 'LOCALHOST', 'mill.example.com', 'mill.example.com:443'])(
    'on loopback takes %s',
    (host) => expect(() => loopback({ host })).not.toThrow(),
  );

  it.each(['evil.example.com', '127.0.0.1.evil.com', '', 'mill.example.com.evil.com'])(
    'on loopback refuses %s',
    (host) => expect(() => loopback({ host })).toThrow(expect.objectContaining({ httpStatus: 421 })),
  );

  it('beyond loopback takes any name, for there are keys', () =>
    expect(() => beyond({ host: 'anything.example.com' })).not.toThrow());

  it('takes the origin of its own pages, and of names that are allowed', () => {
    expect(() => loopback({ host: 'localhost:8080', origin: 'http://localhost:8080' })).not.toThrow();
    expect(() => loopback({ host: 'localhost:8080', origin: 'https://mill.example.com' })).not.toThrow();
  });

  it.each(['http://evil.example.com', 'null', 'http://localhost:9999'])('refuses the origin %s', (origin) =>
    expect(() => loopback({ host: 'localhost:8080', origin })).toThrow(expect.objectContaining({ httpStatus: 403 })),
  );
});
