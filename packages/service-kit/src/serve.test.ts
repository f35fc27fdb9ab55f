import { Client, credentials, status } from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';
import { aborted } from './aborted.js';
import { unary } from './adapters.js';
import { later, startEcho } from './echo-for-tests.js';
import { healthPackage } from './health.js';
import { serve } from './serve.js';
import type { Telemetry } from './telemetry.js';

const echoing = (telemetry: Telemetry) => ({
  unary: unary(async (text: string) => text, telemetry),
});

/** Field 1 as a string, and as a number, of the public health messages, written and read by hand. */
const healthRequest = (service: string) => Buffer.from([0x0a, service.length, ...Buffer.from(service)]);
const healthStatus = (response: Buffer) => ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'][response[1] ?? 0];

const bytes = (value: Buffer) => value;

function healthOf(address: string) {
  const client = new Client(address, credentials.createInsecure());
  return {
    check: (service = '') =>
      new Promise((resolve, reject) =>
        client.makeUnaryRequest(
          '/grpc.health.v1.Health/Check',
          bytes,
          bytes,
          healthRequest(service),
          (error, answer) => (error ? reject(error) : resolve(healthStatus(answer!))),
        ),
      ),
    watch: (service = '') =>
      client.makeServerStreamRequest('/grpc.health.v1.Health/Watch', bytes, healthStatus, healthRequest(service)),
    [Symbol.dispose]: () => client.close(),
  };
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >> 7)];
}

describe('health', () => {
  it('is told for the server and for each service', async () => {
    await using echo = await startEcho(echoing, { serving: false });
    using health = healthOf(echo.address);
    expect(await health.check()).toBe('NOT_SERVING');
    echo.server.setServing(true);
    expect([await health.check(), await health.check('example.Echo')]).toEqual(['SERVING', 'SERVING']);
    await expect(health.check('example.Nobody')).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it('is watched: every change, and the end', async () => {
    const seen: unknown[] = [];
    const first = later();
    let watched: Promise<void>;
    let health: ReturnType<typeof healthOf>;
    {
      await using echo = await startEcho(echoing);
      health = healthOf(echo.address);
      watched = (async () => {
        for await (const state of health.watch()) {
          seen.push(state);
          first.resolve();
        }
      })();
      await first.promise;
    }
    await watched;
    health[Symbol.dispose]();
    expect(seen).toEqual(['SERVING', 'NOT_SERVING']);
  });
});

describe('reflection', () => {
  const descriptorSet = fileDescriptorSet(
    healthPackage['grpc.health.v1.HealthCheckRequest'] as MessageTypeDefinition<object, object>,
  );

  it.each(['v1', 'v1alpha'])('%s lists the services', async (version) => {
    await using echo = await startEcho(echoing, { descriptorSet });
    const listServices = Buffer.from([0x3a, 0x01, 0x2a]); // field 7: "*"
    const call = echo.client.makeBidiStreamRequest(
      `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
      bytes,
      bytes,
    );
    call.end(listServices);
    const [answer] = (await call.toArray()) as Buffer[];
    expect(answer!.toString()).toContain('grpc.health.v1.Health');
  });

  function fileDescriptorSet({ fileDescriptorProtos }: MessageTypeDefinition<object, object>): Uint8Array {
    // a FileDescriptorSet is its files as field 1
    return Buffer.concat(fileDescriptorProtos.flatMap((file) => [Buffer.from([0x0a, ...varint(file.length)]), file]));
  }
});

describe('a server', () => {
  it('refuses a message beyond its limit', async () => {
    await using echo = await startEcho(echoing, { maxMessageBytes: 100 });
    await expect(echo.unary('x'.repeat(101))).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(await echo.unary('x'.repeat(100))).toHaveLength(100);
  });

  it('takes messages beyond 4 MiB by default', async () => {
    await using echo = await startEcho(echoing);
    expect(await echo.unary('x'.repeat(5 * 1024 * 1024)).catch(String)).toContain('larger than max'); // the client's own limit
  });

  it('says in one line which address is in use', async () => {
    await using echo = await startEcho(echoing);
    const second = serve({ listen: echo.address, drainMs: 0, telemetry: echo.telemetry }, []);
    await expect(second).rejects.toMatchObject({
      message: `cannot listen on ${echo.address}: it is in use`,
      startup: true,
    });
  });

  it('lets a running call finish while it drains', async () => {
    const reached = later();
    const go = later();
    let answer: Promise<string>;
    {
      await using echo = await startEcho(
        (telemetry) => ({
          unary: unary(async (text: string) => {
            reached.resolve();
            await go.promise;
            return text;
          }, telemetry),
        }),
        { drainMs: 10_000 },
      );
      answer = echo.unary('hi');
      await reached.promise;
      setImmediate(go.resolve);
    }
    expect(await answer).toBe('hi');
  });

  it('ends a call that outlives the drain', async () => {
    const reached = later();
    let answer: Promise<unknown>;
    {
      await using echo = await startEcho((telemetry) => ({
        unary: unary(async (text: string, signal) => {
          reached.resolve();
          await aborted(signal);
          return text;
        }, telemetry),
      }));
      answer = echo.unary('hi').catch((error: unknown) => error);
      await reached.promise;
    }
    expect([status.UNAVAILABLE, status.CANCELLED]).toContain(((await answer) as { code: status }).code);
  });
});
