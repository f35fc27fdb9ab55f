import { status } from '@grpc/grpc-js';
import type { StatusObject } from '@grpc/grpc-js';

/** An error the caller is meant to see: a gRPC status and a sentence that names the value at fault. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  constructor(
    readonly code: status,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Turns a library's error into the one the caller sees; what it does not know stays as it is. */
export type Translate = (error: unknown) => unknown;

type ErrorClass = abstract new (...args: never[]) => Error;

/** One row per class a library throws; its message reaches the caller with this status. The first match counts. */
export function translate(table: readonly (readonly [ErrorClass, status])[]): Translate {
  return (error) => {
    const [, code] = table.find(([known]) => error instanceof known) ?? [];
    return code === undefined || !(error instanceof Error)
      ? error
      : new RpcError(code, error.message, { cause: error });
  };
}

/** What reaches the caller: an RpcError as it is, anything else without its detail. */
export function toStatus(error: unknown): Pick<StatusObject, 'code' | 'details'> {
  if (error instanceof RpcError) return { code: error.code, details: error.message };
  return { code: status.INTERNAL, details: 'internal error' };
}
