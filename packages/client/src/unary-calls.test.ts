import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { status } from '@grpc/grpc-js';
import type { Metadata } from '@grpc/grpc-js';
import { createChannel } from './channel.js';
import { bytesMethod, serveBytes } from './serve-bytes-for-tests.js';

const echo = bytesMethod;

/** Gives back what it gets, and the metadata it saw. */
async function serveEcho(listen: string, afterMs = 0) {
  const seen: Metadata[] = [];
  const server = await serveBytes((call, done) => {
    seen.push(call.metadata);
    setTimeout(() => done(null, call.request), afterMs);
  }, listen);
  return { ...server, seen };
}

describe('a unary call of the client', () => {
  it.each(['127.0.0.1', '[::1]', 'localhost'])('reaches a server at %s', async (host) => {
    using server = await serveEcho(`${host}:0`);
    await using channel = createChannel({ address: `${host}:${server.port}` });
    expect((await channel.unary(echo, Buffer.from('hello'))).toString()).toBe('hello');
  });

  it('reaches a socket of the file system', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mill-unary-'));
    const address = `unix:${join(folder, 'socket')}`;
    using server = await serveEcho(address);
    await using channel = createChannel({ address });
    expect((await channel.unary(echo, Buffer.from('hello'))).toString()).toBe('hello');
    expect(server.seen).toHaveLength(1);
    await rm(folder, { recursive: true });
  });

  it('goes through the proxy that the environment names', async () => {
    using server = await serveEcho('127.0.0.1:0');
    const asked: (string | undefined)[] = [];
    const proxy = createServer().on('connect', ({ url }, socket) => {
      asked.push(url);
      const there = connect(server.port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        there.pipe(socket).pipe(there);
      });
    });
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
    process.env['grpc_proxy'] = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    try {
      await using channel = createChannel({ address: 'mill.test:80' });
      expect((await channel.unary(echo, Buffer.from('hello'))).toString()).toBe('hello');
      expect(asked).toEqual(['mill.test:80']);
    } finally {
      delete process.env['grpc_proxy'];
      proxy.close();
    }
  });

  it('carries headers of text and of bytes', async () => {
    using server = await serveEcho('127.0.0.1:0');
    await using channel = createChannel({ address: `127.0.0.1:${server.port}`, apiKey: 'secret' });
    await channel.unary(echo, Buffer.alloc(1), { metadata: { tenant: 'one' } });
    expect(server.seen[0]!.get('authorization')).toEqual(['Bearer secret']);
    expect(server.seen[0]!.get('tenant')).toEqual(['one']);
    await expect(channel.unary(echo, Buffer.alloc(1), { metadata: { tenant: 'a\r\nb: c' } })).rejects.toThrow(
      'illegal characters',
    );
  });

  it('names the address where nobody listens, and the reason', async () => {
    await using channel = createChannel({ address: '127.0.0.1:1' });
    await expect(channel.unary(echo, Buffer.alloc(1))).rejects.toMatchObject({
      name: 'MillError',
      code: status.UNAVAILABLE,
      message: '127.0.0.1:1: the call was not begun (connect ECONNREFUSED 127.0.0.1:1)',
    });
  });

  it('keeps its process until it is answered, and no longer', async () => {
    using server = await serveEcho('127.0.0.1:0', 700);
    const program = `
      import { createChannel } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)};
      const asIs = (bytes) => bytes;
      const echo = { path: '/test.Echo/Echo', requestSerialize: asIs, responseDeserialize: asIs };
      const channel = createChannel({ address: '127.0.0.1:${server.port}' });
      console.log((await channel.unary(echo, Buffer.from('hello'), { deadlineMs: Infinity })).toString());`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    expect([said, code]).toEqual(['hello\n', 0]);
  });

  it('ends at once where the client is closed, however safe it is', async () => {
    const channel = createChannel({ address: '127.0.0.1:1' });
    const refused = channel.unary(echo, Buffer.alloc(1), { safe: true });
    await channel[Symbol.asyncDispose]();
    const begun = performance.now();
    const closed = { code: status.CANCELLED, message: 'the client is closed' };
    await expect(refused).rejects.toMatchObject(closed);
    await expect(channel.unary(echo, Buffer.alloc(1), { safe: true })).rejects.toMatchObject(closed);
    expect(performance.now() - begun).toBeLessThan(1000);
  });

  it('is not made where its request cannot be written', async () => {
    await using channel = createChannel({ address: '127.0.0.1:1' });
    const picky = {
      ...echo,
      requestSerialize(): Buffer {
        throw new TypeError('no number');
      },
    };
    await expect(channel.unary(picky, Buffer.alloc(1))).rejects.toMatchObject({
      code: status.INTERNAL,
      message: '/test.Echo/Echo was not asked: its request cannot be written: no number',
    });
  });

  it('is told of an answer that is not its message', async () => {
    using server = await serveEcho('127.0.0.1:0');
    await using channel = createChannel({ address: `127.0.0.1:${server.port}` });
    const picky = {
      ...echo,
      responseDeserialize(): Buffer {
        throw new RangeError('index out of range');
      },
    };
    await expect(channel.unary(picky, Buffer.alloc(1))).rejects.toMatchObject({ code: status.INTERNAL });
  });
});
