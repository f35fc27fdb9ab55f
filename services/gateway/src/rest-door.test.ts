import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { RpcError, startTelemetry } from '@modelmill/service-kit';
import type { Telemetry } from '@modelmill/service-kit';
import { createHostCheck } from './host-check.js';
import type { HostCheck } from './host-check.js';
import { openRestDoor } from './rest-door.js';
import { jsonAnswer } from './rest-request.js';
import type { RestHandler, RestRoute, Verb } from './rest-request.js';

let telemetry: Telemetry;
beforeAll(async () => {
  const config = { MILL_LOG_LEVEL: 'silent', MILL_REPLICA: 'r', OTEL_EXPORTER_OTLP_ENDPOINT: '' } as const;
  telemetry = await startTelemetry('door', config);
});
afterAll(() => telemetry[Symbol.asyncDispose]());

const drainMs = 8_000;
let stopping = new AbortController();
beforeEach(() => (stopping = new AbortController()));
let aborted: string[] = [];

const route = (verb: Verb, path: string, handle: RestHandler): RestRoute => ({
  verb,
  path,
  handle,
  open: true,
  doc: { tag: '', summary: '', answer: { type: '', schema: {} } },
});

async function* ticks(signal: AbortSignal) {
  while (!signal.aborted) {
    yield 'tick\n';
    await sleep(20, undefined, { signal }).catch(() => {});
  }
}

const largeBytes = 2 ** 24;
let left: string[] = [];

/** More than a connection takes at once. */
async function* pieces(name: string) {
  try {
    for (let i = 0; i < 100; i++) yield await Promise.resolve(Buffer.alloc(2 ** 17));
  } finally {
    left.push(name);
  }
}

const routes = [
  route('GET', '/large', () => Promise.resolve({ type: 'text/plain', body: Buffer.alloc(largeBytes, 'x') })),
  route('GET', '/pieces/{name}', ({ params }) =>
    Promise.resolve({ type: 'text/plain', body: pieces(params['name']!) }),
  ),
  route('GET', '/none', () =>
    Promise.resolve({
      type: 'text/plain',
      body: (async function* (): AsyncGenerator<string> {
        await Promise.resolve();
        throw new RpcError(status.NOT_FOUND, 'there is none');
      })(),
    }),
  ),
  route('GET', '/now', () => Promise.resolve(jsonAnswer({ now: 1 }))),
  route('GET', '/later', async () => jsonAnswer(await sleep(300, { later: 1 }))),
  route('POST', '/length', async ({ body }) => jsonAnswer({ length: (await body(2 ** 24)).length })),
  route('GET', '/ticks/{name}', ({ params, caller }) => {
    caller.signal.addEventListener('abort', () => aborted.push(params['name']!));
    const body = ticks(AbortSignal.any([caller.signal, stopping.signal]));
    return Promise.resolve({ type: 'text/plain', body });
  }),
];

const open = (checkHost: HostCheck = () => {}) =>
  openRestDoor(
    {
      listen: '127.0.0.1:0',
      drainMs,
      telemetry,
      translate: (error) => error,
      checkKey: () => {},
      checkHost,
      idleMs: 3000,
    },
    routes,
  );

/** A connection on which requests are written as they stand. */
function caller(port: number) {
  const socket = connect(port, '127.0.0.1');
  let heard = '';
  socket.on('data', (data: Buffer) => (heard += data.toString('latin1'))).on('error', () => {});
  return {
    socket,
    heard: () => heard,
    codes: () => [...heard.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, code]) => Number(code)),
    async until(words: string | RegExp) {
      while (heard.search(words) < 0) await once(socket, 'data');
    },
    closed: () => (socket.closed ? Promise.resolve() : once(socket, 'close')),
  };
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const post = (path: string, body: string | Buffer, headers = '') =>
  Buffer.concat([
    Buffer.from(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n${headers}\r\n`),
    Buffer.from(body),
  ]);

it('answers every request that has come on a connection when it is told to end, and then closes that', async () => {
  const door = await open();
  const { socket, codes, closed, heard } = caller(door.port);
  socket.write(Buffer.concat([Buffer.from(get('/later') + get('/now')), post('/length', 'abc')]));
  await sleep(100);
  const began = performance.now();
  const ended = door[Symbol.asyncDispose]();
  await closed();
  await ended;
  expect(codes()).toEqual([200, 200, 200]);
  expect(heard()).toContain('{"length":3}');
  expect(performance.now() - began).toBeLessThan(drainMs / 2);
});

it('writes an answer to its end when it is told to end, however slowly it is read', async () => {
  const door = await open();
  const { socket, heard, closed } = caller(door.port);
  socket.pause();
  socket.write(get('/large'));
  await sleep(200);
  const ended = door[Symbol.asyncDispose]();
  await sleep(100);
  socket.resume();
  await closed();
  await ended;
  expect(heard().length).toBeGreaterThan(largeBytes);
});

it('ends as soon as nothing is under way, whatever connections are open', async () => {
  const door = await open();
  const [fresh, idle, streaming] = [caller(door.port), caller(door.port), caller(door.port)];
  idle.socket.write(get('/now'));
  streaming.socket.write(get('/ticks/of-an-end'));
  await Promise.all([idle.until('now'), streaming.until('tick\n'), once(fresh.socket, 'connect')]);
  const began = performance.now();
  const ended = door[Symbol.asyncDispose]();
  await sleep(50);
  stopping.abort();
  await ended;
  expect(performance.now() - began).toBeLessThan(drainMs / 2);
  await streaming.closed();
  expect(streaming.heard()).toMatch(/\r\n0\r\n\r\n$/);
});

it('refuses a broken body, and takes the next request behind the rest of it', async () => {
  await using door = await open();
  const { socket, until, codes } = caller(door.port);
  socket.write(post('/length', Buffer.alloc(300_000, 'A'), 'Content-Encoding: gzip\r\n'));
  await until('400 Bad Request');
  socket.write(get('/now'));
  await until('"now"');
  expect(codes()).toEqual([400, 200]);
  socket.destroy();
});

it('stops all streams of a connection that is gone, those behind others as well', async () => {
  await using door = await open();
  aborted = [];
  const { socket, until } = caller(door.port);
  socket.write(get('/ticks/first') + get('/ticks/second'));
  await until('tick');
  socket.destroy();
  while (aborted.length < 2) await sleep(10);
  expect(aborted.sort()).toEqual(['first', 'second']);
});

it('leaves what it reads from for a caller that is gone, also behind another answer', async () => {
  await using door = await open();
  left = [];
  const { socket } = caller(door.port);
  socket.write(get('/later') + get('/pieces/behind'));
  await sleep(100);
  expect(left).toEqual([]);
  socket.destroy();
  while (left.length < 1) await sleep(10);
});

it('says what is wrong with a request whose body breaks', async () => {
  await using door = await open();
  const { socket, until, codes } = caller(door.port);
  socket.write('POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnot a size\r\n');
  await until('400 Bad Request');
  expect(codes()).toEqual([400]);
  socket.destroy();
});

it('tells who asks for the head of what is not there that it is not there', async () => {
  await using door = await open();
  const { socket, until, heard } = caller(door.port);
  socket.write('HEAD /none HTTP/1.1\r\nHost: x\r\n\r\n');
  await until('\r\n\r\n');
  expect(heard()).toMatch(/^HTTP\/1\.1 404/);
  socket.destroy();
});

it('writes nothing into an answer under way where what comes next is no request', async () => {
  await using door = await open();
  const { socket, until, closed, codes } = caller(door.port);
  socket.write(get('/ticks/broken'));
  await until('tick');
  socket.write('\0\0\0\0\r\n\r\n');
  await closed();
  expect(codes()).toEqual([200]);
});

it('gives the head of a stream to who asks for that alone', async () => {
  await using door = await open();
  const { socket, until, heard } = caller(door.port);
  socket.write('HEAD /ticks/head HTTP/1.1\r\nHost: x\r\n\r\n');
  await until('\r\n\r\n');
  expect(heard()).toMatch(/^HTTP\/1\.1 200/);
  expect(heard()).not.toContain('tick');
  socket.destroy();
});

it('is asked for whole URLs, too, whose host goes before the header', async () => {
  await using door = await open(createHostCheck('127.0.0.1:0', []));
  const { socket, until, codes, heard } = caller(door.port);
  const ask = (url: string, host: string) => `GET ${url} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  socket.write(ask('http://localhost:80/now?x=1', 'evil.example') + ask('HTTP://127.0.0.1/now', 'localhost'));
  socket.write(ask('http://evil.example/now', 'localhost') + ask('http://localhost', 'localhost'));
  socket.write(ask('ftp://localhost/now', 'localhost') + ask('/later', 'localhost'));
  await until('"later"');
  expect(codes()).toEqual([200, 200, 421, 404, 404, 200]);
  expect(heard()).toContain('evil.example');
  socket.destroy();
});
