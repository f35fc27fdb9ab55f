import { Client, Metadata, credentials } from '@grpc/grpc-js';
import type { MethodDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { baseConfig, readConfig } from './read-config.js';
import { serve } from './serve.js';
import type { ServeOptions } from './serve.js';
import { startTelemetry } from './telemetry.js';
import type { Telemetry } from './telemetry.js';

/** Text there and back, in every call form; the wire format is UTF-8, so that no generated code is needed. */
const method = (path: string, requestStream: boolean, responseStream: boolean): MethodDefinition<string, string> => ({
  path: `/example.Echo/${path}`,
  requestStream,
  responseStream,
  requestSerialize: Buffer.from,
  requestDeserialize: String,
  responseSerialize: Buffer.from,
  responseDeserialize: String,
});

export const EchoService = {
  unary: method('Unary', false, false),
  serverStream: method('ServerStream', false, true),
  clientStream: method('ClientStream', true, false),
  bidi: method('Bidi', true, true),
};

/** Telemetry that says nothing. */
function quietTelemetry() {
  return startTelemetry('echo', readConfig(baseConfig, { MILL_LOG_LEVEL: 'silent' }));
}

/** A server with the given calls, and a client of it. */
export async function startEcho(
  handlers: (telemetry: Telemetry) => UntypedServiceImplementation,
  options: Partial<ServeOptions> = {},
) {
  const telemetry = await quietTelemetry();
  const refused = () => {
    throw new Error('the test calls what it did not define');
  };
  const implementation = { unary: refused, serverStream: refused, clientStream: refused, bidi: refused };
  const server = await serve({ listen: '127.0.0.1:0', drainMs: 50, telemetry, ...options }, [
    [EchoService, { ...implementation, ...handlers(telemetry) }],
  ]);
  const address = `127.0.0.1:${server.port}`;
  const client = new Client(address, credentials.createInsecure());
  const { requestSerialize, responseDeserialize } = EchoService.unary;
  return {
    address,
    client,
    server,
    telemetry,
    unary: (text: string, { metadata = new Metadata(), signal, deadline = Infinity }: CallOptions = {}) =>
      new Promise<string>((resolve, reject) => {
        const call = client.makeUnaryRequest(
          EchoService.unary.path,
          requestSerialize,
          responseDeserialize,
          text,
          metadata,
          { deadline },
          (error, answer) => (error ? reject(error) : resolve(answer!)),
        );
        signal?.addEventListener('abort', () => call.cancel());
      }),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      client.close();
      await telemetry[Symbol.asyncDispose]();
    },
  };
}

interface CallOptions {
  metadata?: Metadata;
  signal?: AbortSignal;
  deadline?: Date | number;
}

export function later<T = void>() {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((r) => (resolve = r));
  return { promise, resolve };
}
