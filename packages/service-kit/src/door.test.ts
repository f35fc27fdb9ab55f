import { once } from 'node:events';
import { connect } from 'node:http2';
import type { ClientHttp2Session, OutgoingHttpHeaders } from 'node:http2';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { Metadata, status } from '@grpc/grpc-js';
import { aborted } from './aborted.js';
import { bidi, clientStream, serverStream, unary } from './adapters.js';
import { EchoService, later, startEcho } from './echo-for-tests.js';
import { RpcError } from './rpc-error.js';
import type { Telemetry } from './telemetry.js';

const echoing = (telemetry: Telemetry) => ({
  unary: unary(async (text: string) => text, telemetry),
  serverStream: serverStream(async function* (text: string) {
    yield* [text, text];
  }, telemetry),
});

function framed(text: string | Buffer, flag = 0): Buffer {
  const message = Buffer.from(text as string);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flag);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** A call with a client that knows nothing of gRPC: what came, and its status. */
async function call(session: ClientHttp2Session, body: readonly Buffer[], headers: OutgoingHttpHeaders = {}) {
  const stream = session.request({
    ':method': 'POST',
    ':path': EchoService.unary.path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  const heard: Record<string, unknown> = {};
  const hear = (found: object) => void Object.assign(heard, found);
  stream.on('response', hear).on('trailers', hear);
  const closed = once(stream, 'close');
  for (const piece of body) {
    stream.write(piece);
    await new Promise(setImmediate);
  }
  stream.end();
  const got = await buffer(stream);
  await closed;
  return {
    text: got.subarray(5).toString(),
    status: heard['grpc-status'],
    message: decodeURIComponent(String(heard['grpc-message'] ?? '')),
  };
}

describe('a door', () => {
  async function open(options: Parameters<typeof startEcho>[1] = {}, handlers = echoing) {
    const echo = await startEcho(handlers, options);
    const session = connect(`http://${echo.address}`);
    session.on('error', () => {});
    return {
      echo,
      session,
      async [Symbol.asyncDispose]() {
        session.destroy();
        await echo[Symbol.asyncDispose]();
      },
    };
  }

  it('answers plain calls and streams on one connection', async () => {
    await using door = await open();
    const { serverStream: stream } = EchoService;
    const answers = await Promise.all([
      call(door.session, [framed('plain')]),
      call(door.session, [framed('twice')], { ':path': stream.path }),
      call(door.session, [framed(gzipSync('packed'), 1)], { 'grpc-encoding': 'gzip' }),
      call(door.session, [framed('plain again')], { 'content-type': 'application/grpc+proto' }),
    ]);
    expect(answers.map(({ text }) => text)).toEqual([
      'plain',
      `twice${framed('twice').toString()}`,
      'packed',
      'plain again',
    ]);
    expect(answers.map((answer) => answer.status)).toEqual(['0', '0', '0', '0']);
  });

  it.each([1, 3, 5, 6, 1000])('takes a message in pieces of %d bytes', async (size) => {
    await using door = await open();
    const bytes = framed('a message that comes in pieces');
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      bytes.subarray(i * size, (i + 1) * size),
    );
    expect(await call(door.session, pieces)).toMatchObject({ text: 'a message that comes in pieces', status: '0' });
  });

  it.each([
    ['no message', [], status.UNIMPLEMENTED, 'none came'],
    ['two messages', [framed('one'), framed('two')], status.UNIMPLEMENTED, 'more came'],
    ['half a message', [framed('half').subarray(0, 7)], status.INTERNAL, 'ended before its length'],
    ['half a length', [framed('half').subarray(0, 3)], status.INTERNAL, 'ended before its length'],
    ['a message beyond the limit', [framed('x'.repeat(101))], status.RESOURCE_EXHAUSTED, '101 vs. 100'],
    ['compression that nobody spoke of', [framed('x', 1)], status.INTERNAL, 'compressed'],
  ])('refuses %s', async (_, body, code, message) => {
    await using door = await open({ maxMessageBytes: 100 });
    const refused = await call(door.session, body);
    expect(refused.status).toBe(String(code));
    expect(refused.message).toContain(message);
    expect(await call(door.session, [framed('still here')])).toMatchObject({ text: 'still here' });
  });

  it('asks whether a call is wanted before anything of it is read, whichever way it goes', async () => {
    const asked: unknown[] = [];
    await using door = await open({
      admit(path, authorization) {
        asked.push(path);
        if (authorization !== 'Bearer good') throw new RpcError(status.UNAUTHENTICATED, 'who are you?');
      },
    });
    const ways: OutgoingHttpHeaders[] = [
      {},
      { ':path': EchoService.serverStream.path },
      { 'grpc-encoding': 'gzip' },
      { 'content-type': 'application/grpc+json' },
      { 'x-strange': 'ä' },
    ];
    for (const headers of ways) {
      expect(await call(door.session, [framed('x')], headers)).toMatchObject({ status: '16', text: '' });
      expect(await call(door.session, [framed('x')], { ...headers, authorization: 'Bearer bad' })).toMatchObject({
        status: '16',
      });
      expect(await call(door.session, [framed('x')], { ...headers, authorization: 'Bearer good' })).toMatchObject({
        status: '0',
      });
    }
    expect(asked).toHaveLength(3 * ways.length);
  });

  it('gives what a caller sent beside the message, bytes included', async () => {
    await using door = await open({}, (telemetry) => ({
      ...echoing(telemetry),
      unary: unary(async (_text: string, _signal, { metadata }) => {
        const [bytes] = metadata.get('some-bin') as Buffer[];
        return `${metadata.get('some')[0]?.toString()} ${bytes?.toString('hex')}`;
      }, telemetry),
    }));
    const metadata = new Metadata();
    metadata.set('some', 'text');
    metadata.set('some-bin', Buffer.from([0, 255, 10]));
    expect(await door.echo.unary('', { metadata })).toBe('text 00ff0a');
  });

  it.each([
    ['a name that is none', { 'x!y': 'x' }],
    ['a user agent that is no ASCII', { 'user-agent': 'caf\xe9' }],
    ['a value that is no ASCII', { some: 'caf\xe9' }],
    ['bytes that are no base64', { 'some-bin': '%%%' }],
  ])('goes on after %s', async (_, headers) => {
    await using door = await open({}, (telemetry) => ({
      ...echoing(telemetry),
      unary: unary(
        async (text: string, _signal, { metadata }) => `${text} ${Object.keys(metadata.getMap()).length >= 0}`,
        telemetry,
      ),
    }));
    await call(door.session, [framed('x')], headers);
    expect(await call(door.session, [framed('still here')])).toMatchObject({ text: 'still here true' });
  });

  it('cuts what it says of a failure to what clients take', async () => {
    await using door = await open({}, (telemetry) => ({
      ...echoing(telemetry),
      unary: unary((text: string) => Promise.reject(new RpcError(status.NOT_FOUND, `no ${text}`)), telemetry),
    }));
    const refused = await call(door.session, [framed('世'.repeat(50_000))]);
    expect(refused.status).toBe('5');
    expect(refused.message).toMatch(/^no 世{797}…$/);
  });

  it('drops an answer that is not read by its deadline', async () => {
    await using door = await open({ maxMessageBytes: 2 ** 20 });
    const stream = door.session.request({
      ':method': 'POST',
      ':path': EchoService.unary.path,
      'content-type': 'application/grpc',
      'grpc-timeout': '300m',
    });
    stream.on('error', () => {});
    stream.end(framed('x'.repeat(500_000)));
    await once(stream, 'close'); // nothing of it was read
    expect(stream.rstCode).toBe(8);
  });

  it('tells the work of every call when its connection is lost', async () => {
    const reached = later<AbortSignal>();
    await using door = await open({}, (telemetry) => ({
      ...echoing(telemetry),
      unary: unary(async (text: string, signal) => {
        reached.resolve(signal);
        await aborted(signal);
        return text;
      }, telemetry),
    }));
    const lost = call(door.session, [framed('x')]).catch(() => {});
    const signal = await reached.promise;
    door.session.destroy();
    await aborted(signal);
    expect(signal.reason).toMatchObject({ code: status.CANCELLED });
    await lost;
  });

  it('tells it of a stream, too', async () => {
    const reached = later<AbortSignal>();
    await using door = await open({}, (telemetry) => ({
      ...echoing(telemetry),
      serverStream: serverStream(async function* (text: string, signal) {
        yield text;
        reached.resolve(signal);
        await aborted(signal);
      }, telemetry),
    }));
    const lost = call(door.session, [framed('x')], { ':path': EchoService.serverStream.path }).catch(() => {});
    const signal = await reached.promise;
    door.session.destroy();
    await aborted(signal);
    await lost;
  });

  it('fails with words of any alphabet', async () => {
    await using door = await open({}, (telemetry) => ({
      ...echoing(telemetry),
      unary: unary(
        (text: string) => Promise.reject(new RpcError(status.NOT_FOUND, `100 % “${text}” fehlt 🙂\ud800`)),
        telemetry,
      ),
    }));
    const { message } = await call(door.session, [framed('世界')]);
    expect(message).toBe('100 % “世界” fehlt 🙂\ufffd');
  });

  describe('for streams', () => {
    const both = (telemetry: Telemetry) => ({
      ...echoing(telemetry),
      clientStream: clientStream(async (texts: AsyncIterable<string>) => {
        let all = '';
        for await (const text of texts) all += `${text.length} `;
        return all;
      }, telemetry),
      bidi: bidi(async function* (texts: AsyncIterable<string>) {
        for await (const text of texts) yield text.toUpperCase();
      }, telemetry),
    });
    const sizes = [0, 1, 100_000, 3, 2_000_000, 70_000, 0];
    const texts = sizes.map((size) => 'x'.repeat(size));

    it.each([1000, 16_384, 1e9])('takes messages of any sizes, in writes of %d bytes', async (size) => {
      await using door = await open({}, both);
      const bytes = Buffer.concat(texts.map((text) => framed(text)));
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      );
      const answer = await call(door.session, pieces, { ':path': EchoService.clientStream.path });
      expect(answer).toEqual({ text: `${sizes.join(' ')} `, status: '0', message: '' });
    });

    it('answers each message, and many streams at a time', async () => {
      await using door = await open({}, both);
      const { path } = EchoService.bidi;
      const all = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          call(door.session, [...texts.map((text) => framed(text)), framed(`stream ${i}`)], { ':path': path }),
        ),
      );
      const before = texts.reduce((sum, text) => sum + 5 + text.length, 0);
      all.forEach(({ text, status: code }, i) => {
        expect([text.slice(before), code]).toEqual([`STREAM ${i}`, '0']);
      });
    });

    it.each([
      ['half a message', EchoService.bidi.path, [framed('whole'), framed('half').subarray(0, 7)], '13'],
      ['a message beyond the limit', EchoService.bidi.path, [framed('x'.repeat(101))], '8'],
      ['compression that nobody spoke of', EchoService.bidi.path, [framed('x', 1)], '13'],
      ['no message', EchoService.serverStream.path, [], '12'],
      ['two messages', EchoService.serverStream.path, [framed('one'), framed('two')], '12'],
    ])('refuses %s', async (_, path, body, code) => {
      await using door = await open({ maxMessageBytes: 100 }, both);
      expect((await call(door.session, body, { ':path': path })).status).toBe(code);
      expect(await call(door.session, [framed('still here')])).toMatchObject({ text: 'still here' });
    });

    it('says all that was answered before a failure, to a slow reader, too', async () => {
      await using door = await open({}, (telemetry) => ({
        ...echoing(telemetry),
        serverStream: serverStream(async function* (text: string) {
          for (let i = 0; i < 10; i++) yield text;
          throw new RpcError(status.NOT_FOUND, 'no more');
        }, telemetry),
      }));
      const stream = door.session.request({
        ':method': 'POST',
        ':path': EchoService.serverStream.path,
        'content-type': 'application/grpc',
      });
      const trailers = once(stream, 'trailers');
      stream.end(framed('x'.repeat(50_000)));
      await new Promise((resolve) => setTimeout(resolve, 200)); // by now the handler has failed
      expect((await buffer(stream)).length).toBe(10 * 50_005);
      expect((await trailers)[0]).toMatchObject({ 'grpc-status': '5', 'grpc-message': 'no more' });
    });

    it('tells the handler of one whose requests are wrong', async () => {
      const reached = later<AbortSignal>();
      let ended = false;
      await using door = await open({}, (telemetry) => ({
        ...echoing(telemetry),
        bidi: bidi(async function* (_texts: AsyncIterable<string>, signal) {
          reached.resolve(signal);
          try {
            for (;;) yield 'x'.repeat(10_000);
          } finally {
            ended = true;
          }
        }, telemetry),
      }));
      const stream = door.session.request({
        ':method': 'POST',
        ':path': EchoService.bidi.path,
        'content-type': 'application/grpc',
      });
      stream.on('error', () => {});
      stream.write(framed('good'));
      const signal = await reached.promise;
      stream.end(framed('bad', 1));
      await aborted(signal);
      while (!ended) await new Promise((resolve) => setTimeout(resolve, 5));
      stream.close();
    });

    it('takes no large messages either that nobody reads', async () => {
      const reading = later();
      await using door = await open({}, (telemetry) => ({
        ...echoing(telemetry),
        clientStream: clientStream(async (all: AsyncIterable<string>) => {
          await reading.promise;
          let count = 0;
          for await (const _ of all) count++;
          return String(count);
        }, telemetry),
      }));
      const stream = door.session.request({
        ':method': 'POST',
        ':path': EchoService.clientStream.path,
        'content-type': 'application/grpc',
      });
      const answer = buffer(stream);
      for (let i = 0; i < 200; i++) stream.write(framed('x'.repeat(200_000)));
      stream.end();
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(door.session.socket.bytesWritten).toBeLessThan(10_000_000); // of forty
      reading.resolve();
      expect((await answer).subarray(5).toString()).toBe('200');
    });

    it('takes messages of the size at which the window opens', async () => {
      await using door = await open({}, both);
      const around = Array.from({ length: 24 }, (_, i) => 32_755 + i);
      const bytes = around.map((size) => framed('x'.repeat(size)));
      const answer = await call(door.session, bytes, { ':path': EchoService.clientStream.path });
      expect(answer.text).toBe(`${around.join(' ')} `);
    });

    it('ends one at its deadline, after what was answered', async () => {
      await using door = await open({}, (telemetry) => ({
        ...echoing(telemetry),
        serverStream: serverStream(async function* (text: string, signal) {
          yield text;
          await aborted(signal);
        }, telemetry),
      }));
      const headers = { ':path': EchoService.serverStream.path, 'grpc-timeout': '200m' };
      expect(await call(door.session, [framed('first')], headers)).toMatchObject({ text: 'first', status: '4' });
    });

    it('takes no more of one than its handler reads', async () => {
      const reading = later();
      let read = 0;
      await using door = await open({}, (telemetry) => ({
        ...echoing(telemetry),
        clientStream: clientStream(async (all: AsyncIterable<string>) => {
          await reading.promise;
          for await (const text of all) read += text.length;
          return String(read);
        }, telemetry),
      }));
      const stream = door.session.request({
        ':method': 'POST',
        ':path': EchoService.clientStream.path,
        'content-type': 'application/grpc',
      });
      let sent = 0;
      const message = framed('x'.repeat(10_000));
      const answer = buffer(stream);
      for (; sent < 1000; sent++) stream.write(message);
      stream.end();
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(door.session.socket.bytesWritten).toBeLessThan(1_000_000); // of ten
      reading.resolve();
      expect((await answer).subarray(5).toString()).toBe(String(1000 * 10_000));
    });
  });
});
