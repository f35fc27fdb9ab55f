import { Metadata, status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { aborted } from './aborted.js';
import { bidi, clientStream, serverStream, unary } from './adapters.js';
import { EchoService, later, startEcho } from './echo-for-tests.js';
import { RpcError, translate } from './rpc-error.js';
import { injectContext } from './trace-context.js';

const { requestSerialize, responseDeserialize } = EchoService.unary;

class NotThereError extends Error {}

describe('a unary call', () => {
  it('is answered', async () => {
    await using echo = await startEcho((telemetry) => ({ unary: unary(async (text: string) => text, telemetry) }));
    expect(await echo.unary('hi')).toBe('hi');
  });

  it('tells the caller which argument is wrong', async () => {
    const empty = new RpcError(status.INVALID_ARGUMENT, 'text is empty');
    await using echo = await startEcho((telemetry) => ({ unary: unary(() => Promise.reject(empty), telemetry) }));
    await expect(echo.unary('hi')).rejects.toMatchObject({ code: status.INVALID_ARGUMENT, details: 'text is empty' });
  });

  it('hides an unexpected error from the caller and logs it', async () => {
    const logged: unknown[] = [];
    await using echo = await startEcho((telemetry) => {
      const log = Object.assign(Object.create(telemetry.log) as typeof telemetry.log, {
        error: (fields: unknown, event: string) => void logged.push([event, fields]),
      });
      return { unary: unary(() => Promise.reject(new TypeError('secret detail')), { ...telemetry, log }) };
    });
    await expect(echo.unary('hi')).rejects.toMatchObject({ code: status.INTERNAL, details: 'internal error' });
    expect(logged).toMatchObject([
      ['unexpected', { method: '/example.Echo/Unary', err: { message: 'secret detail' } }],
    ]);
  });

  it('gives a library’s error the status of its row', async () => {
    await using echo = await startEcho((telemetry) => ({
      unary: unary(() => Promise.reject(new NotThereError("'x' is not there")), {
        ...telemetry,
        translate: translate([[NotThereError, status.NOT_FOUND]]),
      }),
    }));
    await expect(echo.unary('hi')).rejects.toMatchObject({ code: status.NOT_FOUND, details: "'x' is not there" });
  });

  it.each([
    ['a caller who has gone away', () => ({ deadline: Infinity }), status.CANCELLED],
    ['a deadline that has passed', () => ({ deadline: Date.now() + 50 }), status.DEADLINE_EXCEEDED],
  ])('aborts the work of %s', async (_, options, code) => {
    const reached = later<AbortSignal>();
    await using echo = await startEcho((telemetry) => ({
      unary: unary(async (text: string, signal) => {
        reached.resolve(signal);
        await aborted(signal);
        return text;
      }, telemetry),
    }));
    const caller = new AbortController();
    const answer = echo.unary('hi', { signal: caller.signal, ...options() });
    const refused = expect(answer).rejects.toMatchObject({ code });
    const signal = await reached.promise;
    if (code === status.CANCELLED) caller.abort();
    await refused;
    await aborted(signal);
    // by the caller's clock a deadline may pass first: then it is the caller who goes away
    expect([code, status.CANCELLED]).toContain((signal.reason as RpcError).code);
  });

  it('that was answered is no aborted one', async () => {
    let signal!: AbortSignal;
    await using echo = await startEcho((telemetry) => ({
      unary: unary(async (text: string, given) => {
        signal = given;
        return text;
      }, telemetry),
    }));
    await echo.unary('first');
    const first = signal;
    await echo.unary('second'); // by now grpc-js has told of the first one's end
    expect(first.aborted).toBe(false);
  });

  it('goes on with the trace it came with', async () => {
    await using echo = await startEcho((telemetry) => ({
      unary: unary(async () => JSON.stringify(injectContext({})), telemetry),
    }));
    const metadata = new Metadata();
    const trace = '0af7651916cd43dd8448eb211c80319c';
    metadata.set('traceparent', `00-${trace}-b7ad6b7169203331-01`);
    expect(JSON.parse(await echo.unary('hi', { metadata }))).toEqual({ traceparent: expect.stringContaining(trace) });
  });

  it('is counted by method and status', async () => {
    await using echo = await startEcho((telemetry) => ({ unary: unary(async (text: string) => text, telemetry) }));
    await echo.unary('hi');
    expect(await echo.telemetry.metricsText()).toMatch(
      /mill_call_duration_seconds_count\{.*method="Unary".*code="OK".*\} 1/,
    );
  });
});

describe('a stream of responses', () => {
  const counting = (written: string[], ended: () => void) =>
    async function* (_: string) {
      try {
        for (let i = 0; i < 100_000; i++) {
          written.push(String(i));
          yield `${i} ${'x'.repeat(10_000)}`;
        }
      } finally {
        ended();
      }
    };

  it('is written no faster than it is read, and ends when its reader goes away', async () => {
    const written: string[] = [];
    const ended = later();
    await using echo = await startEcho((telemetry) => ({
      serverStream: serverStream(counting(written, ended.resolve), telemetry),
    }));
    const call = echo.client.makeServerStreamRequest(
      EchoService.serverStream.path,
      requestSerialize,
      responseDeserialize,
      'count',
    );
    call.on('error', () => {}); // cancelled below
    await new Promise((readable) => call.once('readable', readable));
    await echo.unary('').catch(() => {}); // a round trip: time in which it could run ahead
    call.cancel();
    await ended.promise;
    expect(written.length).toBeLessThan(1000);
  });

  it('ends with the status of what went wrong', async () => {
    await using echo = await startEcho((telemetry) => ({
      serverStream: serverStream(async function* () {
        yield 'one';
        throw new RpcError(status.NOT_FOUND, 'two is missing');
      }, telemetry),
    }));
    const { seen, error } = await readAll(echo.client, 'count');
    expect(seen).toEqual(['one']);
    expect(error).toMatchObject({ code: status.NOT_FOUND, details: 'two is missing' });
  });

  async function readAll(client: Awaited<ReturnType<typeof startEcho>>['client'], text: string) {
    const { path } = EchoService.serverStream;
    const seen: string[] = [];
    const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, text);
    try {
      for await (const answer of call) seen.push(answer as string);
      return { seen, error: undefined };
    } catch (error) {
      return { seen, error: error as ServiceError };
    }
  }
});

describe('a stream of requests', () => {
  const concatenated = (broken: (error: unknown) => void) => async (texts: AsyncIterable<string>) => {
    let all = '';
    try {
      for await (const text of texts) all += text;
    } catch (error) {
      broken(error);
      throw error;
    }
    return all;
  };

  const open = (echo: Awaited<ReturnType<typeof startEcho>>, done: (error: unknown, answer?: string) => void) =>
    echo.client.makeClientStreamRequest(EchoService.clientStream.path, requestSerialize, responseDeserialize, done);

  it('is answered once', async () => {
    await using echo = await startEcho((telemetry) => ({
      clientStream: clientStream(
        concatenated(() => {}),
        telemetry,
      ),
    }));
    const answer = new Promise((resolve) => {
      const call = open(echo, (error, text) => resolve(error ?? text));
      call.write('a');
      call.write('b');
      call.end();
    });
    expect(await answer).toBe('ab');
  });

  it('that breaks off is not taken for a whole one', async () => {
    const begun = later();
    const broken = later<unknown>();
    await using echo = await startEcho((telemetry) => ({
      clientStream: clientStream(async (texts: AsyncIterable<string>) => {
        const noting = async function* () {
          for await (const text of texts) {
            begun.resolve();
            yield text;
          }
        };
        return concatenated(broken.resolve)(noting());
      }, telemetry),
    }));
    const call = open(echo, () => {});
    call.write('a');
    await begun.promise;
    call.cancel();
    expect(await broken.promise).toMatchObject({ code: status.CANCELLED });
  });

  it('can be refused before it ends', async () => {
    await using echo = await startEcho((telemetry) => ({
      clientStream: clientStream(async (texts: AsyncIterable<string>) => {
        for await (const text of texts) throw new RpcError(status.INVALID_ARGUMENT, `no ${text}`);
        return '';
      }, telemetry),
    }));
    const refusal = new Promise((resolve) => open(echo, resolve).write('a'));
    expect(await refusal).toMatchObject({ code: status.INVALID_ARGUMENT, details: 'no a' });
  });
});

it('streams go both ways at the same time', async () => {
  await using echo = await startEcho((telemetry) => ({
    bidi: bidi(async function* (texts: AsyncIterable<string>) {
      for await (const text of texts) yield text.toUpperCase();
    }, telemetry),
  }));
  const call = echo.client.makeBidiStreamRequest(EchoService.bidi.path, requestSerialize, responseDeserialize);
  const answers = call[Symbol.asyncIterator]();
  call.write('a');
  expect((await answers.next()).value).toBe('A');
  call.write('b');
  expect((await answers.next()).value).toBe('B');
  call.end();
  expect((await answers.next()).done).toBe(true);
});

it('a stream that fails while its requests are waited for ends with its status, behind the answers before', async () => {
  await using echo = await startEcho((telemetry) => ({
    bidi: bidi(async function* (requests: AsyncIterable<string>) {
      const source = requests[Symbol.asyncIterator]();
      yield (await source.next()).value as string;
      void source.next().catch(() => {}); // never comes
      throw new RpcError(status.FAILED_PRECONDITION, 'no more than one');
    }, telemetry),
  }));
  const { path } = EchoService.bidi;
  const deadline = Date.now() + 20_000;
  const call = echo.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, { deadline });
  const answers: string[] = [];
  call.on('data', (answer: string) => answers.push(answer));
  const failed = new Promise<ServiceError>((resolve) => call.once('error', resolve));
  call.write('one'); // and is not ended
  expect(await failed).toMatchObject({ code: status.FAILED_PRECONDITION, details: 'no more than one' });
  expect(answers).toEqual(['one']);
});
