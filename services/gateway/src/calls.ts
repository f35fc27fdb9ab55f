import { status } from '@grpc/grpc-js';
import type { MethodDefinition, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { datasets, events, inference, optimizer, registry, serving, trainer } from '@modelmill/contracts';
import { RpcError, bidi, clientStream, serverStream, translate, unary } from '@modelmill/service-kit';
import type { AdapterOptions, CallContext, Registration } from '@modelmill/service-kit';
import {
  AlreadyExistsError,
  ConflictError,
  DigestMismatchError,
  InvalidLabelError,
  InvalidNameError,
  NotFoundError,
  StoreFullError,
  StoreUnavailableError,
} from '@modelmill/store';
import type { DatasetsCalls } from './datasets-calls.js';
import type { EventsCalls } from './events-calls.js';
import { forwardBidi, forwardServerStream, forwardToAll, forwardUnary } from './forward.js';
import type { Caller, Route } from './forward.js';
import { readNamed } from './model-name.js';
import type { RegistryCalls } from './registry-calls.js';
import type { ReplicaSet } from './replica-set.js';
import type { ServingCalls } from './serving-calls.js';

/** An rpc as bytes in, bytes out: what both doors call. */
export type UnaryCall = (request: Buffer, caller: Caller) => Promise<Buffer>;
export type StreamCall = (request: Buffer, caller: Caller) => AsyncIterable<Buffer>;

/** Every call of the mesh by its path, such as `/modelmill.v1.Trainer/GetTraining`. */
export interface Calls {
  readonly unary: ReadonlyMap<string, UnaryCall>;
  readonly streams: ReadonlyMap<string, StreamCall>;
  /** How each call's messages are written and read. */
  readonly methods: ReadonlyMap<string, ServiceDefinition[string]>;
  /** The same, as the gRPC server takes them. */
  registrations(options: AdapterOptions): Registration[];
}

export interface CallsDeps {
  readonly registry: RegistryCalls;
  readonly serving: ServingCalls;
  readonly datasets: DatasetsCalls;
  readonly events: EventsCalls;
  readonly inference: ReplicaSet;
  readonly trainer: ReplicaSet;
  readonly optimizer: ReplicaSet;
}

/** What the store says, as statuses. */
export const translateStoreErrors = translate([
  [NotFoundError, status.NOT_FOUND],
  [AlreadyExistsError, status.ALREADY_EXISTS],
  [ConflictError, status.FAILED_PRECONDITION],
  [InvalidNameError, status.INVALID_ARGUMENT],
  [InvalidLabelError, status.INVALID_ARGUMENT],
  [DigestMismatchError, status.DATA_LOSS],
  [StoreFullError, status.RESOURCE_EXHAUSTED],
  [StoreUnavailableError, status.UNAVAILABLE],
]);

// Making these twice would do the work twice; all others may be repeated.
const unsafe = new Set<string>([
  trainer.TrainerService.submitTraining.path,
  optimizer.OptimizerService.submitOptimization.path,
]);

const oip = inference.GRPCInferenceServiceService;
const services: readonly ServiceDefinition[] = [
  oip,
  registry.ModelRegistryService,
  serving.ServingService,
  datasets.DatasetsService,
  events.EventsService,
  trainer.TrainerService,
  optimizer.OptimizerService,
];
const toEachReplica = new Set<string>([
  oip.repositoryModelLoad.path,
  oip.repositoryModelUnload.path,
  oip.logSettings.path,
]);
const aboutNoModel = new Set<string>(
  Object.values(oip)
    .map(({ path }) => path)
    .filter((path) => /SharedMemory|RepositoryIndex|TraceSetting/.test(path)),
);

export function createCalls(deps: CallsDeps): Calls {
  const unaryCalls = new Map<string, UnaryCall>();
  const streams = new Map<string, StreamCall>();

  host(registry.ModelRegistryService, deps.registry);
  host(serving.ServingService, deps.serving);
  host(datasets.DatasetsService, deps.datasets);
  host(events.EventsService, deps.events);
  forward(oip, deps.inference);
  forward(trainer.TrainerService, deps.trainer);
  forward(optimizer.OptimizerService, deps.optimizer);

  // answered here: the gateway is up when it answers, and the mesh can infer when a replica can
  unaryCalls.set(oip.serverLive.path, async () => oip.serverLive.responseSerialize({ live: true }));
  unaryCalls.set(oip.serverReady.path, (request, caller) =>
    deps.inference.all().length === 0
      ? Promise.resolve(oip.serverReady.responseSerialize({ ready: false }))
      : forwardUnary({ path: oip.serverReady.path, replicas: deps.inference, safe: true }, request, caller),
  );
  const modelReady = unaryCalls.get(oip.modelReady.path)!;
  unaryCalls.set(oip.modelReady.path, (request, caller) =>
    deps.inference.all().length === 0
      ? Promise.resolve(oip.modelReady.responseSerialize({ ready: false }))
      : modelReady(request, caller),
  );

  type Hosted = Readonly<Record<string, (request: never, more: never) => unknown>>;

  function host(service: ServiceDefinition, hosted: Hosted) {
    for (const [name, method] of Object.entries(service)) {
      const call = hosted[name] as ((request: unknown, signal: AbortSignal) => unknown) | undefined;
      if (!call) throw new Error(`nothing answers ${method.path}`);
      if (method.requestStream) continue; // uploads take their own way through both doors
      if (method.responseStream) streams.set(method.path, hostedStream(method, call));
      else unaryCalls.set(method.path, hostedUnary(method, call));
    }
  }

  function forward(service: ServiceDefinition, replicas: ReplicaSet) {
    for (const { path, requestStream, responseStream } of Object.values(service)) {
      const route = (request: Buffer): Route => ({
        path,
        replicas,
        safe: !unsafe.has(path),
        named: replicas === deps.inference ? namedIn(path, request) : undefined,
      });
      if (requestStream) continue;
      if (responseStream) streams.set(path, (request, caller) => forwardServerStream(route(request), request, caller));
      else if (toEachReplica.has(path)) {
        unaryCalls.set(path, (request, caller) => forwardToAll(route(request), request, caller));
      } else unaryCalls.set(path, (request, caller) => forwardUnary(route(request), request, caller));
    }
  }

  return {
    unary: unaryCalls,
    streams,
    methods: new Map(services.flatMap((service) => Object.values(service).map((method) => [method.path, method]))),
    registrations(options) {
      const adapted = { ...options, translate: translateStoreErrors };
      return services.map((service) => [asBytes(service), implementation(service, adapted)]);
    },
  };

  function implementation(service: ServiceDefinition, options: AdapterOptions): UntypedServiceImplementation {
    return Object.fromEntries(
      Object.entries(service).map(([name, { path }]) => {
        const one = unaryCalls.get(path);
        const many = streams.get(path);
        if (one) return [name, unary((request: Buffer, signal, call) => one(request, callerOf(signal, call)), options)];
        if (many) {
          return [
            name,
            serverStream((request: Buffer, signal, call) => many(request, callerOf(signal, call)), options),
          ];
        }
        return [name, streamIn(path, options)];
      }),
    );
  }

  /** The calls whose requests are streams. */
  function streamIn(path: string, options: AdapterOptions) {
    const { uploadVersion } = registry.ModelRegistryService;
    const { uploadDataset } = datasets.DatasetsService;
    switch (path) {
      case uploadVersion.path:
        return clientStream(
          async (requests: AsyncIterable<Buffer>) =>
            uploadVersion.responseSerialize(
              await deps.registry.uploadVersion(decoded(requests, uploadVersion.requestDeserialize)),
            ),
          options,
        );
      case uploadDataset.path:
        return clientStream(
          async (requests: AsyncIterable<Buffer>) =>
            uploadDataset.responseSerialize(
              await deps.datasets.uploadDataset(decoded(requests, uploadDataset.requestDeserialize)),
            ),
          options,
        );
      case oip.modelStreamInfer.path:
        return bidi(
          (requests: AsyncIterable<Buffer>, signal, call) =>
            forwardBidi(
              { path, replicas: deps.inference },
              requests,
              (request) => namedIn(path, request),
              callerOf(signal, call),
            ),
          options,
        );
      default:
        throw new Error(`nothing answers ${path}`);
    }
  }
}

/** The model and version a request of the Open Inference Protocol is about: fields 1 and 2 of most. */
function namedIn(path: string, request: Buffer) {
  return toEachReplica.has(path) || aboutNoModel.has(path) ? { model: '', version: '' } : readNamed(request, 1, 2);
}

const callerOf = (signal: AbortSignal, call: CallContext): Caller => ({
  signal,
  deadline: call.getDeadline(),
  ...(call.fields ? { fields: call.fields } : { metadata: call.metadata }),
});

const hostedUnary =
  (
    { requestDeserialize, responseSerialize }: MethodDefinition<unknown, unknown>,
    call: (request: unknown, signal: AbortSignal) => unknown,
  ): UnaryCall =>
  async (request, { signal }) =>
    responseSerialize(await call(decodedOne(request, requestDeserialize), signal));

const hostedStream = (
  { requestDeserialize, responseSerialize }: MethodDefinition<unknown, unknown>,
  call: (request: unknown, signal: AbortSignal) => unknown,
): StreamCall =>
  async function* (request, { signal }) {
    const answers = call(decodedOne(request, requestDeserialize), signal) as AsyncIterable<unknown>;
    for await (const answer of answers) yield responseSerialize(answer);
  };

async function* decoded<T>(requests: AsyncIterable<Buffer>, decode: (bytes: Buffer) => T): AsyncGenerator<T> {
  for await (const request of requests) yield decodedOne(request, decode);
}

function decodedOne<T>(request: Buffer, decode: (bytes: Buffer) => T): T {
  try {
    return decode(request);
  } catch (cause) {
    throw new RpcError(status.INVALID_ARGUMENT, 'the request is not the message this call takes', { cause });
  }
}

const asItIs = (bytes: Buffer) => bytes;

function asBytes(service: ServiceDefinition): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(service).map(([name, method]) => [
      name,
      {
        ...method,
        requestSerialize: asItIs,
        requestDeserialize: asItIs,
        responseSerialize: asItIs,
        responseDeserialize: asItIs,
      },
    ]),
  );
}
