import { once } from 'node:events';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import type { ClientHttp2Session, ServerHttp2Stream } from 'node:http2';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { ConnectionEndingError, openClientConnection, openServerConnection } from './connection.js';
import type { Connection, ConnectionOptions } from './connection.js';
import { frame } from './frame-for-tests.js';
import { encodeHeaders } from './header-encoder.js';
import { errorCode, flag, frameType, preface } from './protocol.js';
import type { Stream, StreamListener } from './stream.js';

jest.setTimeout(60_000);

const requestBlock = encodeHeaders([
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/echo'],
  [':authority', 'here'],
]);
const okBlock = encodeHeaders([[':status', '200']]);
const trailersBlock = encodeHeaders([['told', 'all']]);
const sizes = [0, 1, 16_384, 16_385, 65_535, 65_536, 3_000_000];
const body = (size: number) => Buffer.alloc(size, `${size} `);

async function portOf(server: Server | ReturnType<typeof createHttp2Server>): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Our server, which sends back what came, and `told: all` after it. */
async function startOurs(options: Partial<ConnectionOptions> = {}) {
  const connections: Connection[] = [];
  const errors: (Error | undefined)[] = [];
  const server = createServer((socket) => {
    const connection: Connection = openServerConnection(socket, {
      mostStreams: 100,
      onClose: (error) => errors.push(error),
      onStream(stream) {
        connection.headers(stream, okBlock, false);
        return {
          onHeaders: () => connection.headers(stream, trailersBlock, true),
          onData(piece, end) {
            connection.data(stream, Buffer.from(piece), false, () => connection.credit(stream, piece.length));
            if (end) connection.headers(stream, trailersBlock, true);
          },
          onReset() {},
        };
      },
      ...options,
    });
    connections.push(connection);
  });
  const port = await portOf(server);
  return {
    port,
    connections,
    errors,
    [Symbol.dispose]() {
      server.close();
      for (const connection of connections) connection.destroy();
    },
  };
}

async function startTheirs(
  answer: (stream: ServerHttp2Stream) => unknown = (stream) => {
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ told: 'all' }));
    stream.pipe(stream);
  },
  settings: object = {},
) {
  const server = createHttp2Server({ settings });
  const sessions = new Set<{ destroy(): void; close(): void }>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    answer(stream);
  });
  const port = await portOf(server);
  return {
    port,
    sessions,
    [Symbol.dispose]() {
      server.close();
      for (const session of sessions) session.destroy();
    },
  };
}

function ourClient(port: number, options: ConnectionOptions = {}) {
  const connection = openClientConnection(connect({ host: '127.0.0.1', port, noDelay: true }), options);
  /** Sends a body; the answer's, and its trailers. */
  const echo = (sent: Buffer) =>
    new Promise<{ got: Buffer; trailers: readonly (readonly [string, string])[] }>((resolve, reject) => {
      const pieces: Buffer[] = [];
      const listener: StreamListener = {
        onHeaders: (fields, end) => void (end && resolve({ got: Buffer.concat(pieces), trailers: fields })),
        onData(piece) {
          pieces.push(Buffer.from(piece));
          connection.credit(stream, piece.length);
        },
        onReset: (code, error) => reject(Object.assign(new Error(`reset ${code}`, { cause: error }), { code })),
      };
      const stream: Stream = connection.request(requestBlock, false, listener);
      connection.data(stream, sent, true);
    });
  return { connection, echo, [Symbol.dispose]: () => connection.destroy() };
}

describe('a connection', () => {
  it.each([{}, { initialWindowSize: 100 }, { initialWindowSize: 2 ** 24, maxFrameSize: 2 ** 20 }])(
    'answers Node’s client, with %j',
    async (settings) => {
      using ours = await startOurs();
      const session = connectHttp2(`http://127.0.0.1:${ours.port}`, { settings });
      await Promise.all(
        sizes
          .filter((size) => size < 1e6 || !settings.initialWindowSize)
          .map(async (size) => {
            const stream = session.request({ ':method': 'POST', ':path': '/echo' });
            const trailers = once(stream, 'trailers');
            stream.end(body(size));
            expect((await buffer(stream)).equals(body(size))).toBe(true);
            expect((await trailers)[0]).toMatchObject({ told: 'all' });
          }),
      );
      session.destroy();
    },
  );

  it.each([{}, { initialWindowSize: 100 }, { initialWindowSize: 2 ** 24, maxFrameSize: 2 ** 20 }])(
    'is answered by Node’s server, with %j',
    async (settings) => {
      using theirs = await startTheirs(undefined, settings);
      using client = ourClient(theirs.port, { windowBytes: 100_000 });
      for (const { got, trailers } of await Promise.all(sizes.map((size) => client.echo(body(size))))) {
        expect(got.equals(body(got.length))).toBe(true);
        expect(trailers).toContainEqual(['told', 'all']);
      }
    },
  );

  it('talks to its like in large frames, many streams at a time', async () => {
    using ours = await startOurs({ windowBytes: 2 ** 20, frameBytes: 2 ** 20 });
    using client = ourClient(ours.port, { windowBytes: 2 ** 20, frameBytes: 2 ** 20 });
    const all = Array.from({ length: 200 }, (_, i) => body(i * 997)); // more than may be open: the rest wait
    const answers = await Promise.all([...all, body(20_000_000)].map((sent) => client.echo(sent)));
    answers.forEach(({ got }, i) => expect(got.equals(all[i] ?? body(20_000_000))).toBe(true));
    expect(client.connection.openStreams).toBe(0);
  });

  it('opens no more streams than the server takes', async () => {
    let open = 0;
    let most = 0;
    using theirs = await startTheirs(
      (stream) => {
        most = Math.max(most, ++open);
        stream.resume();
        setTimeout(() => {
          open--;
          stream.respond({ ':status': 200 }, { waitForTrailers: true });
          stream.on('wantTrailers', () => stream.sendTrailers({ told: 'all' }));
          stream.end('x');
        }, 5);
      },
      { maxConcurrentStreams: 3 },
    );
    using client = ourClient(theirs.port);
    await client.echo(body(1)); // by now the settings are here
    await Promise.all(Array.from({ length: 20 }, () => client.echo(body(1))));
    expect(most).toBe(3);
  });

  it('sends no more than is read, and goes on when it is', async () => {
    using ours = await startOurs({
      onStream(stream) {
        const [connection] = ours.connections;
        connection!.headers(stream, okBlock, false);
        connection!.data(stream, body(1_000_000), true);
        return { onHeaders() {}, onData() {}, onReset() {} };
      },
    });
    const client = openClientConnection(connect(ours.port, '127.0.0.1'));
    let came = 0;
    let ended = false;
    const stream: Stream = client.request(requestBlock, true, {
      onHeaders() {},
      onData(piece, end) {
        came += piece.length;
        ended = end;
      },
      onReset() {},
    });
    await client.ping();
    while (came < 65_535) await client.ping();
    for (let i = 0; i < 10; i++) await client.ping();
    expect(came).toBe(65_535);
    client.credit(stream, 1_000_000);
    while (!ended) await client.ping();
    expect(came).toBe(1_000_000);
    client.destroy();
  });

  it('ends with its last stream when it is drained, and begins no other', async () => {
    using ours = await startOurs();
    using client = ourClient(ours.port);
    await client.echo(body(1));
    const long = client.echo(body(2_000_000));
    client.connection.drain();
    expect(() => client.connection.request(requestBlock, true, silent)).toThrow(ConnectionEndingError);
    expect((await long).got.length).toBe(2_000_000);
    while (ours.errors.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(ours.errors).toEqual([undefined]);
  });

  it('tells which streams a server that goes away has not begun', async () => {
    using theirs = await startTheirs((stream) => {
      if (stream.id === 1) {
        stream.session!.goaway(0, 1);
        setTimeout(() => {
          stream.respond({ ':status': 200 }, { waitForTrailers: true });
          stream.on('wantTrailers', () => stream.sendTrailers({ told: 'all' }));
          stream.end('x');
        }, 50);
      }
    });
    using client = ourClient(theirs.port);
    const [first, second] = await Promise.allSettled([client.echo(body(1)), client.echo(body(1))]);
    expect(first).toMatchObject({ status: 'fulfilled' });
    expect(second).toMatchObject({ status: 'rejected', reason: { code: errorCode.refusedStream } });
    expect(client.connection.usable).toBe(false);
  });

  it('tells every stream when it is lost', async () => {
    using theirs = await startTheirs(({ id }) => id === 3 && theirs.sessions.forEach((session) => session.destroy()));
    using client = ourClient(theirs.port);
    const lost = await Promise.allSettled([client.echo(body(1)), client.echo(body(1))]);
    expect(lost.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('sends large answers in turns', async () => {
    const ends: number[] = [];
    using ours = await startOurs({
      onStream(stream) {
        const [connection] = ours.connections;
        connection!.headers(stream, okBlock, false);
        connection!.data(stream, body(stream.id === 1 ? 30_000_000 : 100_000), false);
        connection!.headers(stream, trailersBlock, true);
        return silent;
      },
    });
    using client = ourClient(ours.port, { windowBytes: 2 ** 26 });
    const all = Array.from({ length: 5 }, async (_, i) => {
      await client.echo(body(0));
      ends.push(i);
    });
    await Promise.all(all);
    expect(ends.at(-1)).toBe(0); // the first one, which is the largest
  });

  it('does not send what was given up before its turn', async () => {
    const begun: number[] = [];
    using theirs = await startTheirs(
      (stream) => {
        begun.push(stream.id ?? 0);
        stream.respond({ ':status': 200 }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ told: 'all' }));
        setTimeout(() => stream.end('x'), 100);
      },
      { maxConcurrentStreams: 1 },
    );
    using client = ourClient(theirs.port);
    await client.echo(body(0));
    const first = client.echo(body(0));
    const given = client.connection.request(requestBlock, true, silent);
    const last = client.echo(body(0));
    client.connection.reset(given, errorCode.cancel);
    await Promise.all([first, last]);
    expect(begun).toHaveLength(3);
  });

  it('lets a stream end early: the rest of its request is not wanted', async () => {
    using ours = await startOurs({
      onStream(stream) {
        ours.connections[0]!.headers(stream, okBlock, false);
        ours.connections[0]!.headers(stream, trailersBlock, true);
        return silent;
      },
    });
    using client = ourClient(ours.port);
    expect((await client.echo(body(10_000_000))).trailers).toEqual([['told', 'all']]);
    expect((await client.echo(body(10))).trailers).toEqual([['told', 'all']]);
    expect([client.connection.openStreams, ours.connections[0]!.openStreams]).toEqual([0, 0]);
  });
});

const silent: StreamListener = { onHeaders() {}, onData() {}, onReset() {} };

const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const settings = frame(frameType.settings, 0, 0);
const opening = Buffer.concat([preface, settings]);
const open = (id: number, flags = 0) => frame(frameType.headers, flag.endHeaders | flags, id, requestBlock);
const many = (count: number, made: (i: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, i) => made(i)));

const wrongs: readonly [string, number, Buffer][] = [
  ['no HTTP/2', errorCode.protocolError, Buffer.from('GET / HTTP/1.1\r\nhost: here\r\n\r\n')],
  ['another frame before SETTINGS', errorCode.protocolError, Buffer.concat([preface, open(1)])],
  ['a frame that is too large', errorCode.frameSizeError, frame(frameType.headers, 0, 1, Buffer.alloc(16_385))],
  ['DATA of no stream', errorCode.protocolError, frame(frameType.data, 0, 1, Buffer.from('x'))],
  ['DATA of stream 0', errorCode.protocolError, frame(frameType.data, 0, 0, Buffer.from('x'))],
  ['DATA after the end', errorCode.streamClosed, Buffer.concat([open(1, flag.endStream), frame(frameType.data, 0, 1, Buffer.from('x'))])],
  ['HEADERS within a stream', errorCode.protocolError, Buffer.concat([open(1), open(1)])],
  ['a stream with an even number', errorCode.protocolError, open(2)],
  ['CONTINUATION of nothing', errorCode.protocolError, frame(frameType.continuation, 4, 1, requestBlock)],
  ['a frame within a header block', errorCode.protocolError, Buffer.concat([frame(frameType.headers, 0, 1, requestBlock), frame(frameType.ping, 0, 0, Buffer.alloc(8))])],
  ['DATA within a header block', errorCode.protocolError, Buffer.concat([frame(frameType.headers, 0, 1, requestBlock), frame(frameType.data, 0, 1, Buffer.from('x'))])],
  ['headers without end', errorCode.enhanceYourCalm, Buffer.concat([frame(frameType.headers, 0, 1), many(10, () => frame(frameType.continuation, 0, 1, Buffer.alloc(10_000, 0x82)))])],
  ['CONTINUATION of nothing, for ever', errorCode.enhanceYourCalm, Buffer.concat([frame(frameType.headers, 0, 1), many(20_000, () => frame(frameType.continuation, 0, 1))])],
  ['a header block that is none', errorCode.compressionError, frame(frameType.headers, flag.endHeaders, 1, Buffer.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff))],
  ['more padding than frame', errorCode.protocolError, frame(frameType.headers, flag.endHeaders | flag.padded, 1, Buffer.of(200, 1))],
  ['a WINDOW_UPDATE of nothing', errorCode.protocolError, frame(frameType.windowUpdate, 0, 0, uint32(0))],
  ['a window beyond 2^31 - 1', errorCode.flowControlError, many(2, () => frame(frameType.windowUpdate, 0, 0, uint32(2 ** 31 - 1)))],
  ['a WINDOW_UPDATE of 3 bytes', errorCode.frameSizeError, frame(frameType.windowUpdate, 0, 0, Buffer.alloc(3))],
  ['more than a stream’s window', errorCode.flowControlError, Buffer.concat([open(1), many(12, () => frame(frameType.data, 0, 1, Buffer.alloc(16_384)))])],
  ['a PING of 7 bytes', errorCode.frameSizeError, frame(frameType.ping, 0, 0, Buffer.alloc(7))],
  ['a PING of a stream', errorCode.protocolError, frame(frameType.ping, 0, 1, Buffer.alloc(8))],
  ['SETTINGS of 5 bytes', errorCode.frameSizeError, frame(frameType.settings, 0, 0, Buffer.alloc(5))],
  ['SETTINGS of a stream', errorCode.protocolError, frame(frameType.settings, 0, 1)],
  ['frames of 100 bytes', errorCode.protocolError, frame(frameType.settings, 0, 0, Buffer.from([0, 5, 0, 0, 0, 100]))],
  ['a window of 2^31', errorCode.flowControlError, frame(frameType.settings, 0, 0, Buffer.from([0, 4, 128, 0, 0, 0]))],
  ['SETTINGS for ever', errorCode.enhanceYourCalm, many(20_000, () => settings)],
  ['a push', errorCode.protocolError, frame(frameType.pushPromise, 4, 1, uint32(2))],
  ['empty DATA for ever', errorCode.enhanceYourCalm, Buffer.concat([open(1), many(20_000, () => frame(frameType.data, 0, 1))])],
  ['priorities for ever', errorCode.enhanceYourCalm, many(20_000, () => frame(frameType.priority, 0, 1, Buffer.alloc(5)))],
  ['streams that it has us reset', errorCode.enhanceYourCalm, many(2_000, (i) => Buffer.concat([open(2 * i + 1, flag.endStream), frame(frameType.windowUpdate, 0, 2 * i + 1, uint32(2 ** 31 - 1))]))],
  ['streams that are reset at once', errorCode.enhanceYourCalm, many(2_000, (i) => Buffer.concat([open(2 * i + 1), frame(frameType.rstStream, 0, 2 * i + 1, uint32(8))]))],
]; // prettier-ignore

/** The code of the GOAWAY that the bytes are answered with. */
async function goneWith(port: number, bytes: Buffer): Promise<number | undefined> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(bytes);
  const got = await buffer(socket).catch(() => Buffer.alloc(0));
  for (let at = 0; at + 9 <= got.length; at += 9 + got.readUIntBE(at, 3)) {
    if (got[at + 3] === frameType.goaway) return got.readUInt32BE(at + 13);
  }
  return undefined;
}

describe('who breaks the protocol is told so, and no other is disturbed', () => {
  let ours: Awaited<ReturnType<typeof startOurs>>;
  let other: ClientHttp2Session;
  beforeAll(async () => {
    ours = await startOurs();
    other = connectHttp2(`http://127.0.0.1:${ours.port}`);
  });
  afterAll(() => {
    other.destroy();
    ours[Symbol.dispose]();
  });

  it.each(wrongs)('%s', async (_, code, bytes) => {
    const whole = bytes.subarray(0, 3).toString() === 'GET' || bytes.subarray(0, 3).toString() === 'PRI';
    expect(await goneWith(ours.port, whole ? bytes : Buffer.concat([opening, bytes]))).toBe(code);
    const stream = other.request({ ':method': 'POST', ':path': '/echo' });
    stream.end('still here');
    expect((await buffer(stream)).toString()).toBe('still here');
  });

  it('bytes at random end their own connection at most', async () => {
    let seed = 7;
    const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
    const good = Buffer.concat([
      opening,
      open(1),
      frame(frameType.data, flag.endStream, 1, Buffer.from('hello')),
      frame(frameType.ping, 0, 0, Buffer.alloc(8)),
      open(3),
      frame(frameType.windowUpdate, 0, 3, uint32(100)),
      frame(frameType.headers, flag.endHeaders | flag.endStream, 3, trailersBlock),
    ]);
    await Promise.all(
      Array.from({ length: 300 }, async () => {
        const bad = Buffer.from(good);
        for (let i = 0; i <= random(4); i++) bad[preface.length + random(bad.length - preface.length)] = random(256);
        const socket: Socket = connect(ours.port, '127.0.0.1');
        socket.on('error', () => {});
        socket.resume();
        socket.write(bad);
        await new Promise((resolve) => setTimeout(resolve, 200));
        socket.destroy();
      }),
    );
    const stream = other.request({ ':method': 'POST', ':path': '/echo' });
    stream.end('still here');
    expect((await buffer(stream)).toString()).toBe('still here');
  });
});
