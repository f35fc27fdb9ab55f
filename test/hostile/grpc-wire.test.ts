import { connect } from 'node:net';
import { constants } from 'node:http2';
import { gzipSync } from 'node:zlib';
import { inference } from '@modelmill/client';
import { mib, startHostileMesh } from './hostile-mesh.js';
import type { HostileMesh } from './hostile-mesh.js';
import { framed, inferPath, openSession, rawCall } from './http2.js';

jest.setTimeout(30_000);

const { ModelInferRequest } = inference;
const request = (changes: object = {}) =>
  Buffer.from(
    ModelInferRequest.encode(
      ModelInferRequest.fromPartial({
        modelName: 'classes',
        inputs: [{ name: 'input', datatype: 'FP32', shape: [1n, 4n] }],
        rawInputContents: [Buffer.alloc(16)],
        ...changes,
      }),
    ).finish(),
  );
const param = { parameterChoice: { $case: 'boolParam' as const, boolParam: true } };
/** 16 MiB of zeros a member, and as many members as it takes. */
const bomb = (members: number) => Buffer.concat(Array<Buffer>(members).fill(gzipSync(Buffer.alloc(16 * mib))));
const headers = (more: Record<string, string>) => more;
/** Field 1, which is no message, within itself: groups. */
const nested = (depth: number) => Buffer.concat([Buffer.alloc(depth, 0x7b), Buffer.alloc(depth, 0x7c)]);

/** Number of the list, what is sent, the statuses that are right, and how. */
const calls: readonly [string, string, readonly string[], (address: string) => Promise<string>, number?][] = [
  ['H1', 'a message beyond the limit', ['8'], (at) => rawCall(at, [framed(Buffer.alloc(5 * mib))]), 8 * mib],
  ['H2', 'a length of 4 GiB without a body', ['8'], (at) => rawCall(at, [framed(Buffer.alloc(0), 0, 0xffffffff)])],
  ['H3', 'a gzip bomb of 1 GiB', ['8'], (at) => rawCall(at, [framed(bomb(64), 1)], headers({ 'grpc-encoding': 'gzip' })), 8 * mib], // prettier-ignore
  ['H4', 'gzip that is none', ['13'], (at) => rawCall(at, [framed(Buffer.alloc(64, 7), 1)], headers({ 'grpc-encoding': 'gzip' }))], // prettier-ignore
  ['H5', 'an encoding that is not known', ['12'], (at) => rawCall(at, [framed(request(), 1)], headers({ 'grpc-encoding': 'br' }))], // prettier-ignore
  [
    'H6',
    'the flag of compression without an encoding',
    ['3', '13'],
    (at) => rawCall(at, [framed(gzipSync(request()), 1)]),
  ],
  ['H7', 'protobuf nested 100,000 levels', ['3', '13'], (at) => rawCall(at, [framed(nested(100_000))])],
  ['H8', 'a varint that ends too early', ['3', '13', '5'], (at) => rawCall(at, [framed(Buffer.of(0x0a, 0xff))])],
  ['H8', 'a packed length that lies', ['3', '13'], (at) => rawCall(at, [framed(Buffer.concat([request(), Buffer.of(0x2a, 0x04, 0x1a, 0xff, 0xff, 0x03)]))])], // prettier-ignore
  ['H9', 'the map key __proto__', ['0', '3'], (at) => rawCall(at, [framed(request({ parameters: JSON.parse('{"constructor":{}}') as object }))])], // prettier-ignore
  ['H10', 'an unknown method', ['12'], (at) => rawCall(at, [framed(request())], headers({ ':path': '/inference.GRPCInferenceService/No' }))], // prettier-ignore
  ['H10', 'another content type', ['HTTP 415'], (at) => rawCall(at, [], headers({ 'content-type': 'text/html' }))],
  ['H11', 'a timeout that is none', ['3', '13'], (at) => rawCall(at, [framed(request())], headers({ 'grpc-timeout': 'abc' }))], // prettier-ignore
  ['H12', 'a timeout of a nanosecond', ['4'], (at) => rawCall(at, [framed(request())], headers({ 'grpc-timeout': '1n' }))], // prettier-ignore
  ['H13', 'no message', ['12', '13'], (at) => rawCall(at, [])],
  ['H13', 'two messages', ['12', '13'], (at) => rawCall(at, [framed(request()), framed(request())])],
  ['H14', '100 KB of metadata', ['reset', '8'], (at) => rawCall(at, [framed(request())], headers({ mine: 'x'.repeat(100_000) }))], // prettier-ignore
];

describe('what no gRPC client sends', () => {
  let mesh: HostileMesh;
  beforeAll(async () => void (mesh = await startHostileMesh()));
  afterAll(() => mesh[Symbol.asyncDispose]());

  it.each(calls)('%s: %s ends with %j', async (...row) => {
    const [, , wanted, attack, bound = 0] = row;
    const seen = await mesh.withstands(() => attack(mesh.grpc), bound);
    expect(wanted).toContain(seen);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('H9: the key __proto__ is a key like any other, or refused', async () => {
    const [before, after] = [request(), request({ parameters: { PROTOTYPE: param } })];
    const named = Buffer.from(after.toString('latin1').replace('PROTOTYPE', '__proto__'), 'latin1');
    expect(named.length).toBeGreaterThan(before.length);
    expect(['0', '3']).toContain(await mesh.withstands(() => rawCall(mesh.grpc, [framed(named)])));
  });

  it('H15: 50,000 streams that are reset at once end their connection at most', async () => {
    await mesh.withstands(async () => {
      const session = openSession(mesh.grpc);
      for (let i = 0; i < 50_000 && !session.destroyed && !session.closed; i++) {
        const stream = session.request({ ':method': 'POST', ':path': inferPath, 'content-type': 'application/grpc' });
        stream.on('error', () => {});
        stream.close(constants.NGHTTP2_CANCEL);
        if (i % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      session.destroy();
    }, 16 * mib);
  });

  it('H16: 10,000 calls on one connection are answered or refused', async () => {
    await mesh.withstands(async () => {
      const one = () => mesh.mill.inference.serverLive().then(String, String);
      const seen = new Set(await Promise.all(Array.from({ length: 10_000 }, one)));
      expect(seen.has('true')).toBe(true);
    }, 64 * mib);
  });

  it('H17: 2000 connections that say nothing keep nobody out', async () => {
    const [host, port] = mesh.grpc.split(':');
    const idle = await mesh.withstands(
      () =>
        Promise.all(
          Array.from({ length: 2000 }, () => {
            const socket = connect(Number(port), host);
            socket.on('error', () => {});
            return new Promise<typeof socket>((resolve) => socket.once('connect', () => resolve(socket)));
          }),
        ),
      100 * mib,
    );
    for (const socket of idle) socket.destroy();
  });

  it('H19: 20,000 pings keep nobody out', async () => {
    await mesh.withstands(async () => {
      const session = openSession(mesh.grpc);
      for (let i = 0; i < 20_000 && !session.destroyed; i++) {
        try {
          session.ping(() => {});
        } catch {
          break; // too many at a time for this client's own side
        }
        if (i % 8 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      session.destroy();
    });
  });

  it('H20: answers that nobody reads wait at the caller’s side', async () => {
    await mesh.withstands(async () => {
      const session = openSession(mesh.grpc);
      const path = '/inference.GRPCInferenceService/ModelStreamInfer';
      const authorization = 'Bearer a-key-of-this-test';
      const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', authorization }); // prettier-ignore
      stream.on('error', () => {});
      const inputs = [{ name: 'x', datatype: 'FP32', shape: [BigInt(mib / 4)] }];
      const one = framed(request({ modelName: 'same', inputs, rawInputContents: [Buffer.alloc(mib)] }));
      for (let i = 0; i < 300 && !stream.destroyed; i++) if (!stream.write(one)) await waited(stream, 20);
      session.destroy();
    }, 192 * mib); // 64 requests under way at inference, and as many at the gateway
  });

  it('H21: 1000 calls that are cancelled at once leave their places', async () => {
    await mesh.withstands(async () => {
      const stop = new AbortController();
      const inputs = [{ name: 'x', datatype: 'FP32' as const, shape: [2], data: [1, 2] }];
      const all = Array.from({ length: 1000 }, () =>
        mesh.mill.inference.infer({ model: 'same', inputs }, { signal: stop.signal }).catch(() => undefined),
      );
      setImmediate(() => stop.abort());
      await Promise.all(all);
    }, 32 * mib);
  });

  it.skip('H18: an upload that stalls is ended after 30 s, its chunks removed (services/gateway/src/uploads.test.ts)', () => {});
  it.skip('H22: certificates (skipped: needs TLS, which the doors do not speak)', () => {});
});

const waited = (stream: NodeJS.EventEmitter, ms: number) =>
  new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(late);
      stream.off('drain', done);
      resolve();
    };
    const late = setTimeout(done, ms);
    stream.once('drain', done);
  });
