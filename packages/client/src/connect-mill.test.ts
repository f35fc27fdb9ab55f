import { createHash } from 'node:crypto';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import type {
  ServiceDefinition,
  UntypedServiceImplementation,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
} from '@grpc/grpc-js';
import { datasets, events, inference, registry, trainer } from '@modelmill/contracts';
import { ROOT_CONTEXT, context, propagation } from '@opentelemetry/api';
import { connectMill } from './connect-mill.js';
import { decodeTensor } from './tensors.js';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const job = (id: string, state: 'running' | 'succeeded') => ({
  job: trainer.TrainingJob.fromPartial({
    status: {
      jobId: id,
      state:
        state === 'running' ? { $case: 'running', running: {} } : { $case: 'succeeded', succeeded: { version: '1' } },
    },
  }),
});

describe('a call', () => {
  it('carries the key and the trace context', async () => {
    propagation.setGlobalPropagator({
      inject: (_, carrier, setter) => setter.set(carrier, 'traceparent', '00-trace-span-01'),
      extract: () => ROOT_CONTEXT,
      fields: () => [],
    });
    const seen: unknown[] = [];
    await using mesh = await startServer(registry.ModelRegistryService, {
      listModels: (call, answer) => {
        seen.push(call.metadata.get('authorization')[0], call.metadata.get('traceparent')[0]);
        answer(null, { models: [] });
      },
    });
    await using mill = connectMill({ address: mesh.address, apiKey: 'secret' });
    await context.with(ROOT_CONTEXT, () => mill.registry.listModels());
    propagation.disable();
    expect(seen).toEqual(['Bearer secret', '00-trace-span-01']);
  });

  it('that is safe is repeated until the server is available, with the same job id', async () => {
    const ids: string[] = [];
    await using mesh = await startServer(trainer.TrainerService, {
      submitTraining: (call, answer) => {
        ids.push(call.request.jobId);
        if (ids.length < 3) answer({ code: status.UNAVAILABLE, details: 'starting' });
        else answer(null, job(call.request.jobId, 'running'));
      },
    });
    await using mill = connectMill(mesh);
    const submitted = await mill.trainer.submit(trainer.TrainingSpec.fromPartial({ model: 'digits' }));
    expect(ids).toHaveLength(3);
    expect(new Set(ids)).toEqual(new Set([submitted.status!.jobId]));
  });

  it('that could do its work twice is made once', async () => {
    let calls = 0;
    await using mesh = await startServer(registry.ModelRegistryService, {
      deleteModel: (_, answer) => {
        calls += 1;
        answer({ code: status.UNAVAILABLE, details: 'going away' });
      },
    });
    await using mill = connectMill(mesh);
    await expect(mill.registry.deleteModel('digits')).rejects.toMatchObject({
      name: 'MillError',
      code: status.UNAVAILABLE,
      codeName: 'UNAVAILABLE',
      message: 'going away',
    });
    expect(calls).toBe(1);
  });

  it('ends at its deadline and when it is cancelled', async () => {
    const reached = later();
    await using mesh = await startServer(registry.ModelRegistryService, { getModel: () => reached.resolve() });
    await using mill = connectMill(mesh);
    await expect(mill.registry.getModel('x', { deadlineMs: 50 })).rejects.toMatchObject({
      code: status.DEADLINE_EXCEEDED,
    });
    const caller = new AbortController();
    const answer = mill.registry.getModel('x', { signal: caller.signal });
    await reached.promise;
    caller.abort();
    await expect(answer).rejects.toMatchObject({ code: status.CANCELLED });
  });
});

describe('an upload', () => {
  /** Digests what it gets, as the real one does. */
  const storing: Handlers<datasets.DatasetsService> = {
    uploadDataset: (call, answer) => {
      const hash = createHash('sha256');
      const seen: string[] = [];
      call.on('data', ({ content }: datasets.UploadDatasetRequest) => {
        if (content?.$case === 'header') seen.push(`header ${content.header.sha256}`);
        if (content?.$case === 'chunk') seen.push(`chunk ${content.chunk.length}`);
        if (content?.$case === 'chunk') hash.update(content.chunk);
      });
      call.on('end', () => {
        const version = { dataset: seen.join(', '), artifactSha256: hash.digest('hex') };
        answer(null, { version: datasets.DatasetVersion.fromPartial(version) });
      });
    },
  };

  async function* pieces(...texts: string[]) {
    for (const text of texts) yield Buffer.from(text);
  }

  it('of whole bytes states their digest and goes in chunks', async () => {
    await using mesh = await startServer(datasets.DatasetsService, storing);
    await using mill = connectMill(mesh);
    const text = 'x'.repeat(1024 * 1024 + 5);
    const stored = await mill.datasets.upload({ dataset: 'd', content: Buffer.from(text) });
    expect(stored.dataset).toBe(`header ${sha256(text)}, chunk 1048576, chunk 5`);
    expect(stored.artifactSha256).toBe(sha256(text));
  });

  it('of a stream is checked against what was stored', async () => {
    const corrupting: Handlers<datasets.DatasetsService> = {
      uploadDataset: (call, answer) => {
        call.resume();
        call.on('end', () =>
          answer(null, { version: datasets.DatasetVersion.fromPartial({ artifactSha256: sha256('other') }) }),
        );
      },
    };
    await using mesh = await startServer(datasets.DatasetsService, corrupting);
    await using mill = connectMill(mesh);
    await expect(mill.datasets.upload({ dataset: 'd', content: pieces('a', 'b') })).rejects.toMatchObject({
      code: status.DATA_LOSS,
      message: `sent bytes with sha256 ${sha256('ab')}, the server has ${sha256('other')}`,
    });
  });

  it('that is refused early is told the reason, and reads no further', async () => {
    await using mesh = await startServer(datasets.DatasetsService, {
      uploadDataset: (_, answer) => answer({ code: status.INVALID_ARGUMENT, details: 'row 1 is bad' }),
    });
    await using mill = connectMill(mesh);
    async function* endless() {
      for (;;) yield Buffer.alloc(1024 * 1024);
    }
    await expect(mill.datasets.upload({ dataset: 'd', content: endless() })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      message: 'row 1 is bad',
    });
  });

  it('whose source breaks is cancelled, and its caller told', async () => {
    const [begun, cancelled] = [later(), later()];
    await using mesh = await startServer(datasets.DatasetsService, {
      uploadDataset: (call) => {
        call.on('data', () => begun.resolve());
        call.on('cancelled', () => cancelled.resolve());
      },
    });
    await using mill = connectMill(mesh);
    async function* broken() {
      yield Buffer.from('a');
      await begun.promise;
      throw new Error('disk gone');
    }
    await expect(mill.datasets.upload({ dataset: 'd', content: broken() })).rejects.toThrow('disk gone');
    await cancelled.promise;
  });
});

describe('a download', () => {
  it.each(['content', 'flipped'])('of %s bytes is held against the digest of the version', async (sent) => {
    await using mesh = await startServer(registry.ModelRegistryService, {
      getVersion: (_, answer) =>
        answer(null, { version: registry.Version.fromPartial({ version: '3', artifactSha256: sha256('content') }) }),
      downloadVersion: (call) => {
        for (const chunk of [sent.slice(0, 3), sent.slice(3)]) call.write({ chunk: Buffer.from(chunk) });
        call.end();
      },
    });
    await using mill = connectMill(mesh);
    const read = async () => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of mill.registry.downloadVersion('digits', 'stable')) chunks.push(chunk);
      return Buffer.concat(chunks).toString();
    };
    if (sent === 'content') expect(await read()).toBe('content');
    else await expect(read()).rejects.toMatchObject({ code: status.DATA_LOSS });
  });
});

describe('a watch', () => {
  it('goes on after the server was away, and ends with the job', async () => {
    const first = await startServer(trainer.TrainerService, {
      watchTraining: (call) => call.write(job('j', 'running')),
    });
    await using mill = connectMill(first);
    const states: unknown[] = [];
    let second: AsyncDisposable | undefined;
    for await (const { status: at } of mill.trainer.watch('j')) {
      states.push(at?.state?.$case);
      if (second) continue;
      await first[Symbol.asyncDispose]();
      second = await startServer(
        trainer.TrainerService,
        {
          watchTraining: (call) => {
            call.write(job('j', 'running'));
            call.write(job('j', 'succeeded'));
            call.end();
          },
        },
        first.port,
      );
    }
    expect(states).toEqual(['running', 'running', 'succeeded']);
    await second?.[Symbol.asyncDispose]();
  });

  it('of a job that is unknown is told so at once', async () => {
    await using mesh = await startServer(trainer.TrainerService, {
      watchTraining: (call) => call.emit('error', { code: status.NOT_FOUND, details: "job 'j' is unknown" }),
    });
    await using mill = connectMill(mesh);
    await expect(mill.trainer.watch('j').next()).rejects.toMatchObject({ code: status.NOT_FOUND });
  });
});

describe('a subscription', () => {
  it('resumes after the last event seen, and hangs up when it is left', async () => {
    const starts: unknown[] = [];
    const hungUp = later();
    await using mesh = await startServer(events.EventsService, {
      subscribe: (call) => {
        starts.push(call.request.start);
        const sequence = BigInt(starts.length * 10);
        call.write({ event: events.Event.fromPartial({ sequence }) });
        if (starts.length === 1) call.emit('error', { code: status.UNAVAILABLE, details: 'going away' });
        else call.on('cancelled', () => hungUp.resolve());
      },
    });
    await using mill = connectMill(mesh);
    const seen: bigint[] = [];
    for await (const { sequence } of mill.events.subscribe({ filters: ['model.>'] })) {
      seen.push(sequence);
      if (seen.length === 2) break;
    }
    await hungUp.promise;
    expect(seen).toEqual([10n, 20n]);
    expect(starts).toEqual([undefined, { $case: 'afterSequence', afterSequence: 10n }]);
  });

  it('ends quietly when its signal aborts', async () => {
    const reached = later();
    await using mesh = await startServer(events.EventsService, { subscribe: () => reached.resolve() });
    await using mill = connectMill(mesh);
    const stop = new AbortController();
    const next = mill.events.subscribe({}, { signal: stop.signal }).next();
    await reached.promise;
    stop.abort();
    expect(await next).toEqual({ done: true, value: undefined });
  });
});

describe('inference', () => {
  it('sends arrays as raw bytes and gives typed arrays back', async () => {
    await using mesh = await startServer(inference.GRPCInferenceServiceService, {
      modelInfer: ({ request }, answer) => {
        const [bytes] = request.rawInputContents;
        const doubled = Float32Array.from([...decodeTensor('FP32', bytes!)].map((x) => 2 * Number(x)));
        answer(
          null,
          inference.ModelInferResponse.fromPartial({
            modelName: request.modelName,
            modelVersion: '7',
            outputs: [{ name: 'y', datatype: 'FP32', shape: request.inputs[0]!.shape }],
            rawOutputContents: [Buffer.from(doubled.buffer)],
          }),
        );
      },
    });
    await using mill = connectMill(mesh);
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2.5] }] as const;
    expect(await mill.inference.infer({ model: 'digits', inputs })).toEqual({
      model: 'digits',
      version: '7',
      id: '',
      outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(2, 5) }],
    });
  });

  it('takes what is sent as it was when the call was made, however large it is', async () => {
    await using mesh = await startServer(inference.GRPCInferenceServiceService, {
      modelInfer: ({ request: { modelName, inputs, rawInputContents } }, answer) => {
        const outputs = inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape }));
        const response = { modelName, outputs, rawOutputContents: rawInputContents };
        answer(null, inference.ModelInferResponse.fromPartial(response));
      },
    });
    await using mill = connectMill(mesh);
    for (const length of [10, 3000, 30_000, 700_000]) {
      const floats = new Float32Array(length);
      const input = { name: 'x', datatype: 'FP32', shape: [length], data: floats } as const;
      const texts = { name: 'texts', datatype: 'BYTES', shape: [2], data: ['', 'Grüße'] } as const;
      const answers = [1, 2, 3].map((value) => {
        floats.fill(value);
        return mill.inference.infer({ model: 'same', inputs: [input, texts] });
      });
      floats.fill(0);
      for (const [i, { outputs }] of (await Promise.all(answers)).entries()) {
        expect((outputs[0]!.data as Float32Array).every((value) => value === i + 1)).toBe(true);
        expect([outputs[0]!.data.length, outputs[1]!.data]).toEqual([length, ['', 'Grüße']]);
      }
    }
  });
});

type Handlers<S> = {
  [K in keyof S]?: S[K] extends {
    requestStream: infer ManyRequests;
    responseStream: infer ManyResponses;
    requestDeserialize(bytes: Buffer): infer Q;
    responseSerialize(message: infer A): Buffer;
  }
    ? ManyRequests extends true
      ? handleClientStreamingCall<Q, A>
      : ManyResponses extends true
        ? handleServerStreamingCall<Q, A>
        : handleUnaryCall<Q, A>
    : never;
};

/** A real server of some of a service's methods; the rest are unimplemented. */
async function startServer<S extends ServiceDefinition>(definition: S, handlers: Handlers<S>, port = 0) {
  const server = new Server();
  server.addService(definition, handlers as UntypedServiceImplementation);
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    ),
  );
  return {
    port: bound,
    address: `127.0.0.1:${bound}`,
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
    },
  };
}

function later() {
  let resolve!: () => void;
  const promise = new Promise<void>((r) => (resolve = r));
  return { promise, resolve };
}
