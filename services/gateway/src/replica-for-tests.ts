import { status } from '@grpc/grpc-js';
import type { Metadata } from '@grpc/grpc-js';
import { inference, trainer } from '@modelmill/contracts';
import { RpcError, bidi, serve, serverStream, unary } from '@modelmill/service-kit';
import type { CallContext } from '@modelmill/service-kit';
import type { Mesh } from './start-for-tests.js';

export interface Seen {
  readonly metadata: Metadata;
  readonly deadline: number;
  readonly request: inference.ModelInferRequest;
  readonly signal: AbortSignal;
}

export interface FakeReplica extends AsyncDisposable {
  readonly address: string;
  readonly seen: readonly Seen[];
  /** Resolves with the next call. */
  called(): Promise<Seen>;
  announceModels(models: readonly string[]): Promise<void>;
}

interface Behaviour {
  /** What ModelInfer does; by default it echoes its raw inputs as output `y`. */
  infer?: (request: inference.ModelInferRequest, signal: AbortSignal) => Promise<inference.ModelInferResponse>;
}

export const echo = ({ modelName, modelVersion, id, inputs, rawInputContents }: inference.ModelInferRequest) =>
  inference.ModelInferResponse.fromPartial({
    modelName,
    modelVersion: modelVersion || '1',
    id,
    outputs: inputs.map(({ datatype, shape }) => ({ name: 'y', datatype, shape })),
    rawOutputContents: rawInputContents,
  });

const job = (jobId: string) => trainer.TrainingJob.fromPartial({ status: { jobId } });

/** A replica of inference and trainer in this process: real gRPC, real announcements, no models. */
export async function startReplica(
  { openStore, telemetry }: Pick<Mesh, 'openStore' | 'telemetry'>,
  name: string,
  models: readonly string[],
  { infer = async (request) => echo(request) }: Behaviour = {},
): Promise<FakeReplica> {
  const store = await openStore(name);
  const seen: Seen[] = [];
  let wake = (_: Seen) => {};

  const oip = {
    modelInfer: unary(async (request: inference.ModelInferRequest, signal, call: CallContext) => {
      const one = { metadata: call.metadata, deadline: Number(call.getDeadline()), request, signal };
      seen.push(one);
      wake(one);
      return infer(request, signal);
    }, telemetry),
    modelStreamInfer: bidi(async function* (requests: AsyncIterable<inference.ModelInferRequest>) {
      for await (const request of requests) yield { errorMessage: '', inferResponse: echo(request) };
    }, telemetry),
    modelReady: unary(async ({ name }: inference.ModelReadyRequest) => ({ ready: models.includes(name) }), telemetry),
    modelMetadata: unary(async ({ name }: inference.ModelMetadataRequest) => {
      if (!models.includes(name)) {
        throw new RpcError(status.NOT_FOUND, `Request for unknown model: '${name}' is not found`);
      }
      const inputs = [{ name: 'x', datatype: 'FP32', shape: [-1n, 2n] }];
      return inference.ModelMetadataResponse.fromPartial({ name, versions: ['1'], platform: 'test', inputs });
    }, telemetry),
  };
  const training = {
    submitTraining: unary(async ({ jobId }: trainer.SubmitTrainingRequest) => ({ job: job(jobId) }), telemetry),
    watchTraining: serverStream(async function* ({ jobId }: trainer.WatchTrainingRequest) {
      yield { job: job(`${jobId}-one`) };
      yield { job: job(`${jobId}-two`) };
    }, telemetry),
  };
  const unused = (service: object, own: object) => ({
    ...Object.fromEntries(
      Object.keys(service).map((name) => [
        name,
        unary(() => Promise.reject(new RpcError(status.UNIMPLEMENTED, 'not in this test')), telemetry),
      ]),
    ),
    ...own,
  });
  const server = await serve({ listen: '127.0.0.1:0', drainMs: 100, telemetry }, [
    [inference.GRPCInferenceServiceService, unused(inference.GRPCInferenceServiceService, oip)],
    [trainer.TrainerService, unused(trainer.TrainerService, training)],
  ]);
  const address = `127.0.0.1:${server.port}`;
  const held = (names: readonly string[]) => names.map((model) => ({ model, version: '1', labels: ['stable'] }));
  const announced = await store.replicas.announce({ service: 'inference', address, models: held(models) });
  const trains = await store.replicas.announce({ service: 'trainer', address });
  return {
    address,
    seen,
    called: () => new Promise((resolve) => (wake = resolve)),
    announceModels: (names) => announced.update({ models: held(names) }),
    async [Symbol.asyncDispose]() {
      await announced[Symbol.asyncDispose]();
      await trains[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}
