import { types } from 'node:util';
import { status } from '@grpc/grpc-js';
import type { Client, Metadata } from '@grpc/grpc-js';
import type { HeaderField } from '@modelmill/http2';
import { headerFields } from './header-fields.js';
import { MillError, toMillError } from './mill-error.js';
import { onAbort } from './on-abort.js';
import { hasProxy } from './proxy.js';
import { ClosedError, ConnectionLostError, NotBegunError, createUnaryConnection } from './unary-connection.js';

export interface UnaryCall {
  readonly metadata: Metadata;
  readonly deadline: Date;
  readonly signal?: AbortSignal | undefined;
}

/** One message there and one back, as bytes. Calls reject with MillError. */
export interface UnaryCalls extends Disposable {
  call(path: string, request: Buffer, call: UnaryCall): Promise<Buffer>;
}

/**
 * Calls go over a connection of their own, at a fifth of what grpc-js takes for one. Where an address has a scheme, or a
 * proxy is in the way, grpc-js knows what to do.
 */
export function createUnaryCalls(address: string, raw: Client): UnaryCalls {
  return hostAndPortAlone.test(address) && !hasProxy() ? overConnection(address) : overGrpcJs(raw);
}

const hostAndPortAlone = /^(\[[0-9a-fA-F:.]+\]|[^:/[\]]+):\d+$/;

function overConnection(address: string): UnaryCalls {
  const connection = createUnaryConnection(address);
  return {
    async call(path, request, { metadata, deadline, signal }) {
      try {
        return await connection.call(path, request, {
          deadline,
          signal,
          headers: headerFields(metadata).filter(isTheirs),
          sole: true,
        });
      } catch (error) {
        if (error instanceof ClosedError)
          throw new MillError(status.CANCELLED, 'the client is closed', { cause: error });
        if (!(error instanceof NotBegunError || error instanceof ConnectionLostError)) throw error;
        throw new MillError(status.UNAVAILABLE, `${address}: ${reasonOf(error)}`, { cause: error });
      }
    },
    [Symbol.dispose]: () => connection[Symbol.dispose](),
  };
}

/** A connection says these itself. */
const isTheirs = ([name]: HeaderField) => !own.has(name) && !name.startsWith('grpc-');

const own = new Set(['content-type', 'te', 'user-agent']);

/** What the system said, where it said something: `connect ECONNREFUSED 127.0.0.1:8081`. */
function reasonOf({ message, cause }: Error): string {
  if (!types.isNativeError(cause)) return message;
  // a name of several addresses fails with as many errors, and no words of its own
  const causes = 'errors' in cause ? (cause.errors as readonly Error[]) : [cause];
  return `${message} (${causes.map((one) => one.message).join(', ')})`;
}

const asItIs = (bytes: Buffer) => bytes;

function overGrpcJs(raw: Client): UnaryCalls {
  return {
    call: (path, request, { metadata, deadline, signal }) =>
      new Promise((resolve, reject) => {
        const call = raw.makeUnaryRequest(path, asItIs, asItIs, request, metadata, { deadline }, (error, response) => {
          stopListening();
          if (error) reject(toMillError(error));
          else if (response === undefined) reject(new MillError(status.INTERNAL, `${path} answered nothing`));
          else resolve(response);
        });
        const stopListening = onAbort(signal, () => call.cancel());
      }),
    [Symbol.dispose]() {},
  };
}
