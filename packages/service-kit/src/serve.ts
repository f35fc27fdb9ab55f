import { Server, ServerCredentials, ServerInterceptingCall, logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import type { ServerInterceptor, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { hostAndPort } from '@modelmill/http2';
import type { AdapterOptions } from './adapters.js';
import { describedPackage } from './described-package.js';
import { openDoor } from './door.js';
import type { Admit, Door, DoorOptions } from './door.js';
import { createHealth, healthPackage } from './health.js';
import { RpcError } from './rpc-error.js';
import type { StreamMethod } from './stream-call.js';
import type { UnaryMethod } from './unary-call.js';

export type Registration = readonly [ServiceDefinition, UntypedServiceImplementation];

/** The address is taken by another process. */
export class AddressInUseError extends Error {
  override readonly name = 'AddressInUseError';
  readonly startup = true;
  constructor(address: string, options?: ErrorOptions) {
    super(`cannot listen on ${address}: it is in use`, options);
  }
}

export interface ServeOptions {
  /** host:port; port 0 takes a free one. */
  readonly listen: string;
  /** Milliseconds that running calls get to finish when the server is disposed. */
  readonly drainMs: number;
  readonly telemetry: AdapterOptions;
  /** A FileDescriptorSet: what server reflection tells. */
  readonly descriptorSet?: Uint8Array;
  /** Default: 64 MiB. */
  readonly maxMessageBytes?: number;
  /** Calls under way at a time on one connection. Default: 1000. */
  readonly maxConcurrentStreams?: number;
  /** Asked before anything of a call is read, health and reflection included. */
  readonly admit?: Admit;
  /** What health says from the start. Default: serving. */
  readonly serving?: boolean;
}

export interface Served extends AsyncDisposable {
  readonly port: number;
  /** What grpc.health.v1 answers, for the server and all its services. */
  setServing(serving: boolean): void;
}

/**
 * A gRPC server with health and reflection. It listens until disposed; then it says so by health, takes no new calls,
 * lets running ones finish for `drainMs`, and ends the rest.
 */
export async function serve(options: ServeOptions, registrations: readonly Registration[]): Promise<Served> {
  const { listen, drainMs, telemetry, descriptorSet } = options;
  setLogVerbosity(logVerbosity.NONE); // what it would print is in the errors it gives us
  const { admit = () => {}, maxMessageBytes = 64 * 1024 * 1024, maxConcurrentStreams = 1000 } = options;
  const server = new Server({
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': maxConcurrentStreams,
    interceptors: [interceptorOf(admit)],
  });
  const health = createHealth(registrations.map(serviceName), options.serving ?? true, telemetry);
  const all: readonly Registration[] = [...registrations, [health.definition, health.implementation]];
  for (const [definition, implementation] of all) server.addService(definition, implementation);
  if (descriptorSet) {
    new ReflectionService({ ...describedPackage(descriptorSet), ...healthPackage }).addToServer(server);
  }

  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const door = await open(listen, {
    methods: new Map(all.flatMap(methodsOf)),
    admit,
    log: telemetry.log,
    maxMessageBytes,
    maxConcurrentStreams,
    others: (connection) => injector.injectConnection(connection),
  });
  return {
    port: door.port,
    setServing: health.setServing,
    async [Symbol.asyncDispose]() {
      health.close();
      const late = setTimeout(() => {
        server.forceShutdown();
        door.destroy();
      }, drainMs);
      await Promise.all([door.drain(), new Promise<void>((resolve) => server.tryShutdown(() => resolve()))]);
      clearTimeout(late);
    },
  };
}

const serviceName = ([definition]: Registration) => Object.values(definition)[0]?.path.split('/')[1] ?? '';

/** This house's adapters ask of a call what a door's call has. */
const methodsOf = ([definition, implementation]: Registration): [string, UnaryMethod | StreamMethod][] =>
  Object.entries(definition).map(([name, { path, requestDeserialize, responseSerialize, ...streams }]) => {
    const method = { path, deserialize: requestDeserialize, serialize: responseSerialize };
    const handle = implementation[name] as unknown;
    if (!streams.requestStream && !streams.responseStream) {
      return [path, { ...method, kind: 'unary', handle: handle as UnaryMethod['handle'] }];
    }
    return [path, { ...method, ...streams, kind: 'stream', handle: handle as StreamMethod['handle'] }];
  });

const interceptorOf =
  (admit: Admit): ServerInterceptor =>
  ({ path }, call) =>
    new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata(metadata, receive) {
            try {
              admit(path, metadata.get('authorization')[0]?.toString());
            } catch (error) {
              if (!(error instanceof RpcError)) throw error;
              call.sendStatus({ code: error.code, details: error.message });
              return;
            }
            receive(metadata);
          },
        }),
    });

async function open(listen: string, options: Omit<DoorOptions, 'host' | 'port'>): Promise<Door> {
  try {
    return await openDoor({ ...options, ...hostAndPort(listen) });
  } catch (cause) {
    const error = cause as NodeJS.ErrnoException;
    throw error.code === 'EADDRINUSE' ? new AddressInUseError(listen, { cause }) : cannot(listen, error);
  }
}

const cannot = (listen: string, cause: Error) =>
  Object.assign(new Error(`cannot listen on ${listen}: ${cause.message}`, { cause }), { startup: true });
