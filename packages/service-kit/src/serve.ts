import { Server, ServerCredentials, logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import type { ServerInterceptor, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import type { AdapterOptions } from './adapters.js';
import { describedPackage } from './described-package.js';
import { createHealth, healthPackage } from './health.js';

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
  /** See every call before its handler does, health and reflection included. */
  readonly interceptors?: readonly ServerInterceptor[];
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
  const server = new Server({
    'grpc.max_receive_message_length': options.maxMessageBytes ?? 64 * 1024 * 1024,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': options.maxConcurrentStreams ?? 1000,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.keepalive_permit_without_calls': 1,
    ...(options.interceptors ? { interceptors: [...options.interceptors] } : {}),
    'grpc.so_reuseport': 0, // two processes on one port would share its calls unnoticed
  });
  for (const [definition, implementation] of registrations) server.addService(definition, implementation);
  const health = createHealth(registrations.map(serviceName), options.serving ?? true, telemetry);
  server.addService(health.definition, health.implementation);
  if (descriptorSet) {
    new ReflectionService({ ...describedPackage(descriptorSet), ...healthPackage }).addToServer(server);
  }

  const port = await bind(server, listen);
  return {
    port,
    setServing: health.setServing,
    async [Symbol.asyncDispose]() {
      health.close();
      const late = setTimeout(() => server.forceShutdown(), drainMs);
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      clearTimeout(late);
    },
  };
}

const serviceName = ([definition]: Registration) => Object.values(definition)[0]?.path.split('/')[1] ?? '';

const bind = (server: Server, listen: string) =>
  new Promise<number>((resolve, reject) =>
    server.bindAsync(listen, ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else
        reject(
          error.message.includes('EADDRINUSE')
            ? new AddressInUseError(listen, { cause: error })
            : cannot(listen, error),
        );
    }),
  );

const cannot = (listen: string, cause: Error) =>
  Object.assign(new Error(`cannot listen on ${listen}: ${cause.message}`, { cause }), { startup: true });
