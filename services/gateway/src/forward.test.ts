import { once } from 'node:events';
import { createServer } from 'node:http2';
import type { ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { createUnaryConnection } from '@modelmill/client';
import { soleMemory } from '@modelmill/wire';
import { forwardUnary } from './forward.js';
import type { Target } from './replica-set.js';

const path = '/test.Echo/Echo';
const calm = { deadline: Infinity, signal: new AbortController().signal };
const bytes = Buffer.alloc(8 * 2 ** 20, 'large ');

/** A server that does as it is told with every stream, and the way to it. */
async function target(answer: (stream: ServerHttp2Stream) => void): Promise<Target & Disposable> {
  const server = createServer();
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    answer(stream);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const unary = createUnaryConnection(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  return {
    replica: { service: 'test' } as Target['replica'],
    channel: undefined as unknown as Target['channel'],
    unary,
    inFlight: 0,
    [Symbol.dispose]() {
      unary[Symbol.dispose]();
      server.close();
    },
  };
}

async function echo(stream: ServerHttp2Stream) {
  const got = await buffer(stream);
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(got);
}

const overTo = (...targets: Target[]) => {
  const next = targets.values();
  const replicas = { service: 'test', pick: () => next.next().value!, all: () => targets, serves: () => true };
  return { path, replicas: { ...replicas, [Symbol.dispose]() {} }, safe: true };
};

describe('a forwarded request', () => {
  it('is let go with its answer', async () => {
    using replica = await target((stream) => void echo(stream));
    const request = soleMemory(bytes.length).fill('large ');
    expect((await forwardUnary(overTo(replica), request, calm)).equals(bytes)).toBe(true);
    expect(request.length).toBe(0);
  });

  it('stays where a replica that refused it may still be sent it', async () => {
    using early = await target((stream) => {
      stream.pause(); // reads none of it
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '14' }, { endStream: true });
    });
    using replica = await target((stream) => void echo(stream));
    const request = soleMemory(bytes.length).fill('large ');
    expect((await forwardUnary(overTo(early, replica), request, calm)).equals(bytes)).toBe(true);
    expect(request.equals(bytes)).toBe(true);
  });
});
