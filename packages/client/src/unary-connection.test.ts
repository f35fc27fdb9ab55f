import { once } from 'node:events';
import { createServer } from 'node:http2';
import type { Http2Server, ServerHttp2Stream, Settings } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { status } from '@grpc/grpc-js';
import { soleMemory } from '@modelmill/wire';
import { bytesMethod, serveBytes } from './serve-bytes-for-tests.js';
import { ConnectionLostError, NotBegunError, createUnaryConnection } from './unary-connection.js';

const { path } = bytesMethod;
const calm = { deadline: Infinity, signal: new AbortController().signal, headers: [] };

function answerWith(stream: ServerHttp2Stream, ...message: number[]) {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(Buffer.from([0, 0, 0, 0, message.length, ...message]));
}

async function serveStreams(
  onStream: (stream: ServerHttp2Stream, server: Http2Server) => void,
  settings: Settings = {},
) {
  const server = createServer({ settings });
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    onStream(stream, server);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.dispose]: () => void server.close(),
  };
}

describe('a unary call over a connection of its own', () => {
  it('brings bytes there and back, many large ones at a time', async () => {
    using server = await serveBytes((call, done) => done(null, call.request));
    using connection = createUnaryConnection(server.address);
    const requests = [0, 1, 65_536, ...Array<number>(6).fill(8 * 2 ** 20)].map((size, i) => Buffer.alloc(size, i + 1));
    const answers = await Promise.all(requests.map((request) => connection.call(path, request, calm)));
    answers.forEach((answer, i) => expect(answer.equals(requests[i]!)).toBe(true));
  });

  it('lets go of a large request with a good answer, and keeps it for another try', async () => {
    using busy = await serveBytes((_, done) => done({ code: status.UNAVAILABLE, details: 'busy' }));
    using server = await serveBytes((call, done) => done(null, call.request));
    using first = createUnaryConnection(busy.address);
    using second = createUnaryConnection(server.address);
    const bytes = Buffer.alloc(2 * 2 ** 20, 'large ');
    const request = soleMemory(bytes.length).fill('large ');
    const sole = { ...calm, sole: true };
    await expect(first.call(path, request, sole)).rejects.toMatchObject({ code: status.UNAVAILABLE });
    expect(request.equals(bytes)).toBe(true);
    expect((await second.call(path, request, calm)).equals(bytes)).toBe(true);
    expect((await second.call(path, request, sole)).equals(bytes)).toBe(true);
    expect(request.length).toBe(0);
  });

  it('gives headers, and fails with the status and words of the server', async () => {
    using server = await serveBytes((call, done) =>
      done({ code: status.NOT_FOUND, details: `no “${call.metadata.get('wanted')[0]?.toString()}”, 100 %` }),
    );
    using connection = createUnaryConnection(server.address);
    const call = connection.call(path, Buffer.alloc(3), { ...calm, headers: [['wanted', 'thing']] });
    await expect(call).rejects.toMatchObject({ code: status.NOT_FOUND, message: 'no “thing”, 100 %' });
  });

  it('ends at its deadline, and when the caller goes, and tells the server so', async () => {
    const cancelled: string[] = [];
    using server = await serveBytes((call) => {
      call.on('cancelled', () => cancelled.push(call.request.toString()));
    });
    using connection = createUnaryConnection(server.address);
    const late = connection.call(path, Buffer.from('late'), { ...calm, deadline: Date.now() + 100 });
    await expect(late).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    const abort = new AbortController();
    const gone = connection.call(path, Buffer.from('gone'), { ...calm, signal: abort.signal });
    setTimeout(() => abort.abort(), 50);
    await expect(gone).rejects.toMatchObject({ code: status.CANCELLED });
    while (cancelled.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(cancelled.sort()).toEqual(['gone', 'late']);
  });

  it('lasts for others, however many callers go', async () => {
    const held: (() => void)[] = [];
    using server = await serveBytes((call, done) => {
      if (call.request.toString() === 'held') held.push(() => done(null, call.request));
    });
    using connection = createUnaryConnection(server.address);
    const other = connection.call(path, Buffer.from('held'), calm);
    for (let round = 0; round < 30; round++) {
      const abort = new AbortController();
      const gone = Array.from({ length: 100 }, () =>
        connection.call(path, Buffer.from('gone'), { ...calm, signal: abort.signal, deadline: Date.now() + 200 }),
      );
      await new Promise((resolve) => setTimeout(resolve, 10));
      abort.abort();
      for (const { status: outcome } of await Promise.allSettled(gone)) expect(outcome).toBe('rejected');
    }
    held.forEach((answer) => answer());
    expect((await other).toString()).toBe('held');
  });

  it('was not begun where nobody listens, or the stream was refused', async () => {
    using nobody = createUnaryConnection('127.0.0.1:1');
    await expect(nobody.call(path, Buffer.alloc(1), calm)).rejects.toThrow(NotBegunError);
    using server = await serveStreams((stream) => stream.close(7));
    using refused = createUnaryConnection(server.address);
    await expect(refused.call(path, Buffer.alloc(1), calm)).rejects.toThrow(NotBegunError);
  });

  it('may have been begun where the connection breaks, and another one is made for the next', async () => {
    let calls = 0;
    using server = await serveStreams((stream) => {
      if (++calls === 1) return void stream.session?.destroy();
      answerWith(stream, 7, 8);
    });
    using connection = createUnaryConnection(server.address);
    await expect(connection.call(path, Buffer.alloc(1), calm)).rejects.toThrow(ConnectionLostError);
    expect([...(await connection.call(path, Buffer.alloc(1), calm))]).toEqual([7, 8]);
  });

  it('gives its place back where the server lets its deadline pass', async () => {
    let streams = 0;
    let open = 0;
    using server = await serveStreams(
      (stream) => {
        open++;
        stream.once('close', () => open--);
        if (++streams > 2) answerWith(stream, 7);
      },
      { maxConcurrentStreams: 2 },
    );
    using connection = createUnaryConnection(server.address);
    const late = () => connection.call(path, Buffer.alloc(1), { ...calm, deadline: Date.now() + 100 });
    for (const { status: outcome } of await Promise.allSettled([late(), late()])) expect(outcome).toBe('rejected');
    while (open > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    expect([...(await connection.call(path, Buffer.alloc(1), calm))]).toEqual([7]);
  });

  it.each([
    [0, status.INTERNAL],
    [2, status.INTERNAL],
    [8, status.CANCELLED],
    [11, status.RESOURCE_EXHAUSTED],
  ])('is broken off with code %i', async (code, wanted) => {
    using server = await serveStreams((stream) => stream.close(code));
    using connection = createUnaryConnection(server.address);
    await expect(connection.call(path, Buffer.alloc(1), calm)).rejects.toMatchObject({ code: wanted });
  });

  it('is told a server’s long words', async () => {
    const details = '值'.repeat(2000);
    using server = await serveBytes((_, done) => done({ code: status.INVALID_ARGUMENT, details }));
    using connection = createUnaryConnection(server.address);
    const call = connection.call(path, Buffer.alloc(1), calm);
    await expect(call).rejects.toMatchObject({ code: status.INVALID_ARGUMENT, message: details });
  });

  it('is not lost with thousands that are given up in one turn', async () => {
    const held: ServerHttp2Stream[] = [];
    using server = await serveStreams((stream) => held.push(stream));
    using connection = createUnaryConnection(server.address);
    const other = connection.call(path, Buffer.alloc(1), calm);
    while (held.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    const abort = new AbortController();
    const headers = [['authorization', 'x'.repeat(500)]] as const;
    const gone = Array.from({ length: 15_000 }, () =>
      connection.call(path, Buffer.alloc(1), { ...calm, signal: abort.signal, headers }),
    );
    abort.abort();
    for (const { reason } of (await Promise.allSettled(gone)) as PromiseRejectedResult[]) {
      expect(reason).toMatchObject({ code: status.CANCELLED });
    }
    answerWith(held[0]!, 7);
    expect([...(await other)]).toEqual([7]);
  });

  it('takes nothing that is not one whole message', async () => {
    using server = await serveStreams((stream) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.from([0, 0, 0, 0, 9, 1]));
    });
    using connection = createUnaryConnection(server.address);
    await expect(connection.call(path, Buffer.alloc(1), calm)).rejects.toMatchObject({ code: status.INTERNAL });
  });
});
