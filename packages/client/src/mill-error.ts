import { status } from '@grpc/grpc-js';

/** A call that failed: the gRPC status, and a sentence that names the value at fault, what was got and what was wanted. */
export class MillError extends Error {
  override readonly name = 'MillError';
  constructor(
    readonly code: status,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** The status by name, such as `NOT_FOUND`. */
  get codeName(): string {
    return status[this.code];
  }
}

/** What grpc-js throws, as a MillError. Anything else stays what it is. */
export function toMillError(error: unknown): unknown {
  if (error instanceof MillError || !(error instanceof Error) || !isServiceError(error)) return error;
  return new MillError(error.code, error.details || error.message, { cause: error });
}

function isServiceError(error: Error): error is Error & { code: status; details: string } {
  return 'code' in error && typeof error.code === 'number' && 'details' in error && typeof error.details === 'string';
}
