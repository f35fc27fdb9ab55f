import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Client, Metadata, credentials, status } from '@grpc/grpc-js';
import { connectMill, inference, trainer } from '@modelmill/client';
import { RpcError, aborted } from '@modelmill/service-kit';
import { echo, startReplica } from './replica-for-tests.js';
import { startMesh } from './start-for-tests.js';
import type { Mesh } from './start-for-tests.js';

const input = { name: 'x', datatype: 'FP32' as const, shape: [1, 2], data: [1, 2] };
const post = (body: unknown, headers: Record<string, string> = {}) => ({
  method: 'POST',
  headers,
  body: typeof body === 'string' ? body : JSON.stringify(body),
});

describe('the gateway', () => {
  let mesh: Mesh;
  beforeAll(async () => void (mesh = await startMesh()));
  afterAll(() => mesh[Symbol.asyncDispose]());

  /** Until the gateway has heard of it. */
  const served = async (model: string) => {
    for (;;) {
      const { body } = await mesh.json('/v2/models');
      if ((body['models'] as string[]).includes(model)) return;
    }
  };

  describe('inference', () => {
    it('reaches a replica that serves the model, with what its caller sent beside it', async () => {
      await using other = await startReplica(mesh, 'other', ['something']);
      await using replica = await startReplica(mesh, 'one', ['m1']);
      await served('m1');
      await served('something');
      const metadata = { 'x-mine': 'kept', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' };
      for (let i = 0; i < 8; i++) {
        const answer = await mesh.mill.inference.infer(
          { model: 'm1', inputs: [input], id: `call ${i}` },
          { metadata, deadlineMs: 20_000 },
        );
        expect(answer).toMatchObject({ id: `call ${i}`, outputs: [{ data: Float32Array.of(1, 2) }] });
      }
      expect(other.seen).toHaveLength(0);
      expect(replica.seen).toHaveLength(8);
      const { metadata: passed, deadline } = replica.seen[0]!;
      expect(passed.get('x-mine')).toEqual(['kept']);
      expect(String(passed.get('traceparent')[0])).toContain('0af7651916cd43dd8448eb211c80319c');
      expect(passed.get('authorization')).toEqual([]);
      expect(deadline - Date.now()).toBeLessThanOrEqual(20_000);
      expect(deadline - Date.now()).toBeGreaterThan(5_000);
    });

    it('goes to a second replica where the first is unavailable', async () => {
      const away = async () => Promise.reject(new RpcError(status.UNAVAILABLE, 'going away'));
      await using _one = await startReplica(mesh, 'away', ['m2', 'away'], { infer: away });
      await using _two = await startReplica(mesh, 'here', ['m2', 'here']);
      await served('away');
      await served('here');
      for (let i = 0; i < 6; i++) {
        const once = await rawInfer(mesh, { modelName: 'm2' });
        expect(once.modelName).toBe('m2');
      }
    });

    it('stops when its caller goes away', async () => {
      const stuck = async (request: inference.ModelInferRequest, signal: AbortSignal) => {
        await aborted(signal);
        return echo(request);
      };
      await using replica = await startReplica(mesh, 'stuck', ['stuck'], { infer: stuck });
      await served('stuck');
      const called = replica.called();
      const caller = new AbortController();
      const answer = mesh.mill.inference.infer({ model: 'stuck', inputs: [input] }, { signal: caller.signal });
      const refused = expect(answer).rejects.toMatchObject({ code: status.CANCELLED });
      const { signal } = await called;
      caller.abort();
      await refused;
      await aborted(signal);

      const rest = new AbortController();
      const again = replica.called();
      const request = post({ inputs: [input] });
      const gone = expect(mesh.fetch('/v2/models/stuck/infer', { ...request, signal: rest.signal })).rejects.toThrow();
      const second = await again;
      rest.abort();
      await gone;
      await aborted(second.signal);
    });

    it('streams both ways', async () => {
      await using _replica = await startReplica(mesh, 'streaming', ['m3']);
      await served('m3');
      const { path, requestSerialize, responseDeserialize } = inference.GRPCInferenceServiceService.modelStreamInfer;
      const metadata = new Metadata();
      metadata.set('authorization', 'Bearer a-key-of-this-test');
      const client = new Client(mesh.grpc, credentials.createInsecure());
      const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
      const answers = call[Symbol.asyncIterator]() as AsyncIterator<inference.ModelStreamInferResponse>;
      for (const id of ['a', 'b']) {
        call.write(inference.ModelInferRequest.fromPartial({ modelName: 'm3', id }));
        expect((await answers.next()).value.inferResponse?.id).toBe(id);
      }
      call.end();
      expect((await answers.next()).done).toBe(true);
      client.close();
    });

    it('takes messages of many megabytes', async () => {
      await using _replica = await startReplica(mesh, 'large', ['m4']);
      await served('m4');
      const data = new Float32Array(2 ** 21).fill(7);
      const { outputs } = await mesh.mill.inference.infer({
        model: 'm4',
        inputs: [{ ...input, shape: [data.length], data }],
      });
      expect(outputs[0]!.data).toEqual(data);
    });

    it('gives everybody their own large answer, whoever else goes away or has to ask a second replica', async () => {
      const away = async () => Promise.reject(new RpcError(status.UNAVAILABLE, 'going away'));
      await using _away = await startReplica(mesh, 'large-away', ['m4b', 'large-away'], { infer: away });
      await using _here = await startReplica(mesh, 'large-here', ['m4b', 'large-here']);
      await served('large-away');
      await served('large-here');
      const floats = 2 ** 19;
      const overGrpc = async (of: number, signal?: AbortSignal) => {
        const data = new Float32Array(floats).fill(of);
        const request = { model: 'm4b', inputs: [{ ...input, shape: [floats], data }] };
        const { outputs } = await mesh.mill.inference.infer(request, signal ? { signal } : {});
        const got = outputs[0]!.data as Float32Array;
        expect(got.length === floats && got.every((value) => value === of)).toBe(true);
      };
      const overRest = async (of: number, signal: AbortSignal | null = null) => {
        const data = new Float32Array(floats).fill(of);
        const head = Buffer.from(
          JSON.stringify({
            parameters: { binary_data_output: true },
            inputs: [{ ...input, shape: [floats], data: undefined, parameters: { binary_data_size: data.byteLength } }],
          }),
        );
        const answer = await mesh.fetch('/v2/models/m4b/infer', {
          method: 'POST',
          headers: { 'inference-header-content-length': String(head.length) },
          body: Buffer.concat([head, Buffer.from(data.buffer)]),
          signal,
        });
        const got = Buffer.from(await answer.arrayBuffer());
        const from = Number(answer.headers.get('inference-header-content-length'));
        expect(answer.status).toBe(200);
        expect(got.subarray(from).equals(Buffer.from(data.buffer))).toBe(true);
      };
      for (let round = 0; round < 3; round++) {
        const leaving = new AbortController();
        const kept = [1, 2, 3].flatMap((of) => [overGrpc(of), overRest(10 + of)]);
        const left = [4, 5].flatMap((of) => [overGrpc(of, leaving.signal), overRest(10 + of, leaving.signal)]);
        setTimeout(() => leaving.abort(), 10 * round);
        await Promise.all([...kept, Promise.allSettled(left)]);
      }
    });

    it('answers over REST as over gRPC: v2 in JSON and binary, v1 in rows', async () => {
      await using _replica = await startReplica(mesh, 'rest', ['m5']);
      await served('m5');
      const v2 = await mesh.json('/v2/models/m5/infer', post({ id: '7', inputs: [input] }));
      expect(v2).toEqual({
        status: 200,
        body: {
          id: '7',
          model_name: 'm5',
          model_version: '1',
          outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: [1, 2] }],
        },
      });
      const v1 = await mesh.json('/v1/models/m5/labels/stable:predict', post({ instances: [[0.5, 'NaN']] }));
      expect(v1).toEqual({ status: 200, body: { predictions: [[0.5, 'NaN']] } });

      const json = JSON.stringify({
        parameters: { binary_data_output: true },
        inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], parameters: { binary_data_size: 8 } }],
      });
      const bytes = Buffer.from(Float32Array.of(3, 4).buffer);
      const binary = await mesh.fetch('/v2/models/m5/infer', {
        method: 'POST',
        headers: { 'Inference-Header-Content-Length': String(json.length) },
        body: Buffer.concat([Buffer.from(json), bytes]),
      });
      const answer = Buffer.from(await binary.arrayBuffer());
      expect(answer.subarray(Number(binary.headers.get('inference-header-content-length')))).toEqual(bytes);
    });

    it('takes a body over REST whatever it says it is, and however it comes', async () => {
      await using replica = await startReplica(mesh, 'pieces', ['m9']);
      await served('m9');
      const traceparent = '00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
      const body = JSON.stringify({ inputs: [input] });
      const pieces = async function* () {
        for (const part of [body.slice(0, 9), body.slice(9)]) {
          yield Buffer.from(part);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      };
      const whole = { method: 'POST', body, headers: { 'content-type': ';;;', traceparent } };
      const chunked = { method: 'POST', body: ReadableStream.from(pieces()), duplex: 'half' } as RequestInit;
      for (const init of [whole, chunked, { ...whole, headers: {} }]) {
        const answer = await mesh.json('/v2/models/m9/infer', init);
        expect(answer).toMatchObject({ status: 200, body: { outputs: [{ data: [1, 2] }] } });
      }
      const passed = replica.seen.map(({ metadata }) => String(metadata.get('traceparent')[0] ?? ''));
      expect(passed).toEqual([expect.stringContaining('1af7651916cd43dd8448eb211c80319c'), '', '']);
    });

    it('says of an unknown model what the replicas say', async () => {
      await using _replica = await startReplica(mesh, 'knows-not', ['m6']);
      await served('m6');
      const { status: code, body } = await mesh.json('/v2/models/nobody/ready');
      expect([code, body['error']]).toEqual([404, "Request for unknown model: 'nobody' is not found"]);
    });
  });

  describe('training', () => {
    it('is forwarded, watched over gRPC and over REST', async () => {
      await using _replica = await startReplica(mesh, 'trains', ['m7']);
      await served('m7');
      const spec = trainer.TrainingSpec.fromPartial({ model: 'm7' });
      const submitted = await mesh.mill.trainer.submit(spec, { jobId: 'job-1' });
      expect(submitted.status?.jobId).toBe('job-1');
      const { body } = await mesh.json('/mill/v1/training-jobs', post({ spec: { model: 'm7' }, job_id: 'job-2' }));
      expect(body).toMatchObject({ job: { status: { job_id: 'job-2' } } });
      const watched = await (await mesh.fetch('/mill/v1/training-jobs/job-3/watch')).text();
      expect([...watched.matchAll(/"job_id":"(job-3-\w+)"/g)].map(([, id]) => id)).toEqual(['job-3-one', 'job-3-two']);
    });

    it('names the field of a spec that is not one', async () => {
      const { status: code, body } = await mesh.json(
        '/mill/v1/training-jobs',
        post({ spec: { model: 'm', epoch: 3 } }),
      );
      expect([code, body['error']]).toEqual([
        400,
        "spec.epoch: TrainingSpec has no field 'epoch'; did you mean 'epochs'?",
      ]);
    });

    it('goes to another replica where the first can not be reached, though it may not be made twice', async () => {
      await using store = await mesh.openStore('killed');
      await using _killed = await store.replicas.announce({ service: 'trainer', address: '127.0.0.1:1' });
      await using _live = await startReplica(mesh, 'live', ['m8']);
      await served('m8');
      const spec = trainer.TrainingSpec.fromPartial({ model: 'm7' });
      for (let i = 0; i < 12; i++) await mesh.mill.trainer.submit(spec);
    });

    it('is unavailable without a trainer', async () => {
      const { status: code, body } = await mesh.json('/mill/v1/optimization-jobs');
      expect([code, body['error']]).toEqual([503, 'no replica of optimizer is up']);
    });
  });

  describe('the doors', () => {
    it('refuse who has no key, and tell everyone about their health', async () => {
      await using stranger = connectMill({ address: mesh.grpc });
      await expect(stranger.registry.listModels()).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
      await expect(stranger.inference.infer({ model: 'm', inputs: [] })).rejects.toMatchObject({
        code: status.UNAUTHENTICATED,
      });
      const wrong = connectMill({ address: mesh.grpc, apiKey: 'a-key-of-another-test' });
      await expect(wrong.registry.listModels()).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
      await wrong[Symbol.asyncDispose]();
      expect(await stranger.inference.serverLive()).toBe(true);

      const without = { headers: { authorization: '' } };
      for (const path of ['/v2', '/mill/v1/models', '/metrics', '/mill/v1/events', '/v1/models/m:predict']) {
        const method = path.endsWith('predict') ? 'POST' : 'GET';
        expect((await mesh.fetch(path, { ...without, method })).status).toBe(401);
      }
      for (const path of ['/', '/v2/health/live', '/openapi.json']) {
        expect((await mesh.fetch(path, without)).status).toBe(200);
      }
    });

    it.each<[string, string, RequestInit, number]>([
      ['an unknown path', '/v3', {}, 404],
      ['a wrong verb', '/v2/models/m/infer', {}, 405],
      ['a path that climbs', '/v2/models/..%2f..%2fetc', {}, 404],
      ['a path that is no UTF-8', '/v2/models/%c0%ae', {}, 400],
      ['a URL of 8 KB', `/v2/models/${'m'.repeat(8000)}`, {}, 414],
      ['a foreign origin', '/mill/v1/models/m', { method: 'DELETE', headers: { origin: 'http://evil.example' } }, 403],
      ['10,000 query parameters', `/mill/v1/events?${'a&'.repeat(2000)}`, {}, 400],
      ['an unknown query parameter', '/mill/v1/datasets/d/preview?row=3', {}, 400],
      ['a spec beyond 1 MiB', '/mill/v1/training-jobs', post('x'.repeat(2 ** 20 + 1)), 413],
      ['a million brackets', '/mill/v1/training-jobs', post('['.repeat(2 ** 20)), 400],
      ['a duplicate key', '/mill/v1/training-jobs', post('{"spec":{},"spec":{}}'), 400],
      ['a prototype', '/mill/v1/training-jobs', post('{"__proto__":{"admin":true}}'), 400],
      ['an unknown encoding', '/v2/models/m/infer', post('{}', { 'content-encoding': 'br' }), 501],
      ['an encoding that is not what it says', '/v2/models/m/infer', post('{}', { 'content-encoding': 'gzip' }), 400],
      [
        'an inference header beyond the body',
        '/v2/models/m/infer',
        post('{}', { 'inference-header-content-length': '99' }),
        400,
      ],
      ['a model name that is none', '/mill/v1/models/a.b/versions', { method: 'PUT', body: 'x' }, 400],
      [
        'a digest that is none',
        '/mill/v1/models/m/versions',
        { method: 'PUT', body: 'x', headers: { 'x-content-sha256': 'z' } },
        400,
      ],
    ])('refuse %s, and go on', async (_, path, init, code) => {
      const response = await mesh.fetch(path, init);
      const body = (await response.json()) as { error: string };
      expect([response.status, typeof body.error]).toEqual([code, 'string']);
      expect((await mesh.fetch('/v2/health/live')).status).toBe(200);
    });

    it('tell which verbs a path takes', async () =>
      expect((await mesh.fetch('/v2/models/m/infer')).headers.get('allow')).toBe('POST'));

    it('show no figure without having counted', async () => {
      await mesh.fetch('/v2/health/live');
      expect(await (await mesh.fetch('/metrics')).text()).toMatch(
        /mill_call_duration_seconds_count\{service="rest",method="GET \/v2\/health\/live",code="200"\} \d+/,
      );
    });
  });

  it('replays events over SSE behind the last one seen', async () => {
    for (const id of ['1', '2', '3']) {
      await mesh.store.events.publish({ subject: `job.sse.${id}`, data: { id }, msgId: `sse-${id}` });
    }
    const first = await sentEvents(mesh, '/mill/v1/events?after=0&filter=job.sse.*', {}, 3);
    expect(first.map(({ event }) => event)).toEqual(['1', '2', '3']);
    expect(JSON.parse(first[0]!.data)).toMatchObject({ subject: 'mill.event.job.sse.1', data: { id: '1' } });
    const rest = await sentEvents(mesh, '/mill/v1/events?filter=job.sse.*', { 'last-event-id': first[1]!.id }, 1);
    expect(rest.map(({ event }) => event)).toEqual(['3']);
  });

  it('tells of labels that point at nothing', async () => {
    const label = { targets: [{ version: '1', weight: 1 }] };
    const { status: code, body } = await mesh.json('/mill/v1/models/nobody/labels/stable', {
      method: 'PUT',
      body: JSON.stringify(label),
    });
    expect([code, body['error']]).toEqual([404, expect.stringContaining("'nobody'")]);
  });
});

describe('a gateway of its own', () => {
  it('goes on with inference while NATS is away', async () => {
    await using mesh = await startMesh();
    await using _replica = await startReplica(mesh, 'one', ['m8']);
    const infer = () => mesh.mill.inference.infer({ model: 'm8', inputs: [input] });
    await infer();
    await mesh.killNats();
    for (let i = 0; i < 10; i++) expect((await infer()).model).toBe('m8');
  });

  it('answers what is under way when it is told to end, and closes its connections with that', async () => {
    await using mesh = await startMesh({ MILL_DRAIN_MS: '20000' });
    let answer = () => {};
    const released = new Promise<void>((resolve) => (answer = resolve));
    await using replica = await startReplica(mesh, 'slow', ['m10'], {
      infer: async (request) => released.then(() => echo(request)),
    });
    while ((await mesh.json('/v2/models')).body['models']?.toString() !== 'm10');
    const called = replica.called();
    const asked = mesh.fetch('/v2/models/m10/infer', post({ inputs: [input] }));
    await called;
    const began = performance.now();
    const ended = mesh.stop();
    while (
      await mesh.fetch('/v2/health/live').then(
        (response) => response.text(),
        () => undefined,
      )
    );
    answer();
    const response = await asked;
    expect([response.status, response.headers.get('connection')]).toEqual([200, 'close']);
    expect(await response.json()).toMatchObject({ outputs: [{ data: [1, 2] }] });
    expect(await ended).toBe(0);
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  it('ends with its streams open', async () => {
    await using mesh = await startMesh();
    const events = await mesh.fetch('/mill/v1/events');
    const reading = events.text();
    const watching = mesh.mill.events.subscribe()[Symbol.asyncIterator]();
    void watching.next().catch(() => {}); // what it ends with is not what this is about
    expect(await mesh.stop()).toBe(0);
    expect(await reading).toContain('connected');
  });

  it.each([
    [
      'beyond loopback without keys',
      { MILL_REST_LISTEN: '0.0.0.0:0' },
      /MILL_API_KEYS is not set, and MILL_REST_LISTEN is '0\.0\.0\.0:0'/,
    ],
    [
      'with a key that is short',
      { MILL_API_KEYS: 'short' },
      /MILL_API_KEYS is not readable: each key wants at least 16/,
    ],
  ])('does not start %s', (_, env, message) => {
    const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
    const { status: code, stderr } = spawnSync(process.execPath, [main], { env, encoding: 'utf8' });
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
  });
});

/** One call, without the client's own repetitions. */
function rawInfer(mesh: Mesh, request: Partial<inference.ModelInferRequest>): Promise<inference.ModelInferResponse> {
  const { path, requestSerialize, responseDeserialize } = inference.GRPCInferenceServiceService.modelInfer;
  const message = inference.ModelInferRequest.fromPartial(request);
  const { raw } = mesh.mill.channel;
  return new Promise((resolve, reject) =>
    raw.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      message,
      mesh.mill.channel.metadata(),
      (error, answer) => (error ? reject(error) : resolve(answer!)),
    ),
  );
}

interface Sent {
  id: string;
  event: string;
  data: string;
}

/** The first `count` events of a stream, which is then left. */
async function sentEvents(mesh: Mesh, path: string, headers: Record<string, string>, count: number): Promise<Sent[]> {
  const leave = new AbortController();
  const response = await mesh.fetch(path, { headers, signal: leave.signal });
  let text = '';
  const read = () => [...text.matchAll(/id: (.*)\nevent: (.*)\ndata: (.*)\n\n/g)];
  for await (const piece of response.body!) {
    text += Buffer.from(piece as Uint8Array).toString();
    if (read().length >= count) break;
  }
  leave.abort();
  return read().map(([, id, event, data]) => ({ id: id!, event: event!, data: data! }));
}
