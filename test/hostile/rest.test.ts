import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { apiKey } from '../start-mesh.js';
import { mib, startHostileMesh } from './hostile-mesh.js';
import type { HostileMesh } from './hostile-mesh.js';

const infer = '/v2/models/classes/infer';
const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const many = (count: number, make: (i: number) => string) => Array.from({ length: count }, (_, i) => make(i)).join('');
const valid = '{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}';

interface Sent {
  readonly start?: string;
  readonly headers?: readonly string[];
  readonly body?: string | Buffer;
  /** Of a body that goes without its length. */
  readonly length?: number | 'none';
}

/** What a socket gets back for these bytes: the codes of its answers, or `closed`. */
function send(address: string, { start = `POST ${infer}`, headers = [], body = '', length }: Sent): Promise<string> {
  const [host, port] = address.replace('http://', '').split(':');
  const socket = connect(Number(port), host);
  const size = length ?? Buffer.byteLength(body);
  const lines = [
    `${start} HTTP/1.1`,
    ...(headers.some((line) => line.startsWith('Host:')) ? [] : [`Host: ${host}`]),
    `Authorization: Bearer ${apiKey}`,
    ...(size === 'none' ? [] : [`Content-Length: ${size}`]),
    ...headers,
    '',
    '',
  ];
  return new Promise((resolve) => {
    let heard = '';
    const done = () => {
      clearTimeout(late);
      socket.destroy();
      const codes = [...heard.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, code]) => code);
      resolve(codes.join() || 'closed');
    };
    const late = setTimeout(done, 20_000);
    socket.on('data', (data) => {
      heard += data.toString('latin1');
      if (/\r\n\r\n/.test(heard)) setTimeout(done, 20);
    });
    socket.on('error', done);
    socket.on('close', done);
    socket.write(lines.join('\r\n'));
    socket.write(body);
  });
}

const json = (body: string) => ({ body });
const chunked = { length: 'none', headers: ['Transfer-Encoding: chunked'] } as const;
const input = (changes: string) => json(`{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],${changes}}]}`);
const bomb = gzipSync(Buffer.alloc(256 * mib));

/** Number of the list, what is sent, the codes that are right, and how. */
const requests: readonly [string, string, RegExp, () => Sent, number?][] = [
  ['H23', 'a body beyond the limit', /^413$/, () => ({ length: 100 * mib })],
  ['H24', 'a body beyond the limit in chunks of one byte', /^413$/, () => ({ ...chunked, body: chunk('[').repeat(2 * mib) }), 64 * mib], // prettier-ignore
  ['H25', 'a million brackets', /^400$/, () => input(`"data":${'['.repeat(1e6)}`), 8 * mib],
  [
    'H26',
    'two and a half million objects',
    /^4(00|13)$/,
    () => json(`{"parameters":[${'{},'.repeat(1e6)}{}]}`),
    16 * mib,
  ],
  ['H27', '200,000 unknown keys', /^4(00|13)$/, () => json(`{${many(2e5, (i) => `"k${i}":1,`)}"z":1}`), 64 * mib],
  ['H28', '__proto__ in the body', /^400$/, () => json(`{"__proto__":{"admin":true},${valid.slice(1)}`)],
  ['H29', 'a key twice', /^400$/, () => json(`{"id":"a","id":"b",${valid.slice(1)}`)],
  ['H29', 'data behind the end', /^400$/, () => json(`${valid}x`)],
  ['H29', 'a byte order mark', /^400$/, () => json(`\ufeff${valid}`)],
  ['H29', 'invalid UTF-8', /^400$/, () => ({ body: Buffer.concat([Buffer.from('{"id":"'), Buffer.of(0xff), Buffer.from(`",${valid.slice(1)}`)]) })], // prettier-ignore
  ['H29', 'half a surrogate pair', /^400$/, () => json(`{"id":"\\ud800",${valid.slice(1)}`)],
  ['H30', 'a number beyond all floats', /^400$/, () => input('"data":[1e400,0,0,0]')],
  ['H30', 'an integer where its datatype ends', /^400$/, () => json('{"inputs":[{"name":"input","datatype":"INT8","shape":[1],"data":[300]}]}')], // prettier-ignore
  ['H31', 'a gzip bomb', /^413$/, () => ({ body: bomb, headers: ['Content-Encoding: gzip'] }), 32 * mib],
  ['H32', 'a length and chunks at once', /^400$|closed/, () => ({ ...chunked, length: 5, body: chunk('hello') })],
  ['H32', 'two lengths', /^400$|closed/, () => ({ headers: ['Content-Length: 3'], body: 'hello' })],
  ['H32', 'a folded header', /^400$|closed/, () => ({ headers: ['X-A: b', ' c'], body: valid })],
  ['H34', 'a path upwards', /^40[04]$/, () => ({ start: 'POST /v2/models/..%2f..%2fetc/infer', body: valid })],
  ['H34', 'a path with NUL', /^40[04]$/, () => ({ start: 'POST /v2/models/%00/infer', body: valid })],
  ['H34', 'a path that is overlong UTF-8', /^40[04]$/, () => ({ start: 'POST /v2/models/%c0%ae/infer', body: valid })],
  ['H34', 'a path of 8 KB', /^414$/, () => ({ start: `POST /v2/models/${'a'.repeat(8000)}/infer`, body: valid })],
  ['H35', 'TRACE', /^405$|^404$/, () => ({ start: `TRACE ${infer}` })],
  ['H35', 'a verb that is none', /^40[0-5]$|closed/, () => ({ start: `FETCH ${infer}` })],
  ['H36', 'a Host of someone else', /^(403|421)$/, () => ({ headers: ['Host: evil.example'], body: valid })],
  [
    'H36',
    'an Origin of someone else',
    /^(403|421)$/,
    () => ({ headers: ['Origin: http://evil.example'], body: valid }),
  ],
  [
    'H37',
    'a line break in an id, which is echoed',
    /^200$/,
    () => json(`{"id":"a\\r\\nSet-Cookie: b",${valid.slice(1)}`),
  ],
  ['H38', '10,000 query parameters', /^4(00|14|31)$|closed/, () => ({ start: `POST ${infer}?${many(10_000, (i) => `a${i}=1&`)}`, body: valid })], // prettier-ignore
  ['H40', 'an upgrade to a WebSocket', /^4(00|04|05|26)$|closed/, () => ({ start: `GET ${infer}`, headers: ['Connection: Upgrade', 'Upgrade: websocket'] })], // prettier-ignore
];

describe('what no HTTP client sends', () => {
  let mesh: HostileMesh;
  beforeAll(async () => void (mesh = await startHostileMesh({ MILL_MAX_JSON_BYTES: String(mib) })));
  afterAll(() => mesh[Symbol.asyncDispose]());

  it.each(requests)('%s: %s ends with %s', async (...row) => {
    const [, , wanted, attack, bound = 0] = row;
    expect(await mesh.withstands(() => send(mesh.rest, attack()), bound)).toMatch(wanted);
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
  });

  it('H23: who reads only after sending for seconds still hears why nothing was wanted', async () => {
    const [host, port] = mesh.rest.replace('http://', '').split(':');
    const socket = connect(Number(port), host).pause();
    let heard = '';
    const closed = new Promise<string>((resolve) => {
      socket
        .on('data', (data) => (heard += data.toString('latin1')))
        .on('error', ({ message }) => resolve(message))
        .on('close', () => resolve(heard));
    });
    socket.write(`POST ${infer} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${apiKey}\r\n`);
    socket.write(`Content-Length: ${100 * mib}\r\n\r\n`);
    for (let i = 0; i < 10; i++) {
      socket.write(Buffer.alloc(1024));
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    socket.resume().end();
    expect(await closed).toMatch(/^HTTP\/1\.1 413/);
  });

  it('H33: bytes that come too slowly hold little', async () => {
    await mesh.withstands(
      async () => {
        const [host, port] = mesh.rest.replace('http://', '').split(':');
        const slow = Array.from({ length: 200 }, () => connect(Number(port), host).on('error', () => {}));
        for (const socket of slow) socket.write(`POST ${infer} HTTP/1.1\r\nHost: ${host}\r\nX-Slow:`);
        await new Promise((resolve) => setTimeout(resolve, 500));
        for (const socket of slow) socket.destroy();
      },
      200 * 64 * 1024,
    );
  });

  it('H39: 1000 requests in one go are answered or cut off', async () => {
    await mesh.withstands(async () => {
      const one = `GET /v2/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
      expect(await send(mesh.rest, { start: 'GET /v2/health/live', body: one.repeat(1000), length: 'none' })).toMatch(
        /^200/,
      );
    });
  });
});
