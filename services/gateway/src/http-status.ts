import { status } from '@grpc/grpc-js';
import type { RpcError } from '@modelmill/service-kit';

const codes: Readonly<Record<status, number>> = {
  [status.OK]: 200,
  [status.CANCELLED]: 499,
  [status.UNKNOWN]: 500,
  [status.INVALID_ARGUMENT]: 400,
  [status.DEADLINE_EXCEEDED]: 504,
  [status.NOT_FOUND]: 404,
  [status.ALREADY_EXISTS]: 409,
  [status.PERMISSION_DENIED]: 403,
  [status.RESOURCE_EXHAUSTED]: 429,
  [status.FAILED_PRECONDITION]: 400,
  [status.ABORTED]: 409,
  [status.OUT_OF_RANGE]: 400,
  [status.UNIMPLEMENTED]: 501,
  [status.INTERNAL]: 500,
  [status.UNAVAILABLE]: 503,
  [status.DATA_LOSS]: 500,
  [status.UNAUTHENTICATED]: 401,
};

/** The REST code of an error: its own, or the one of its gRPC status. */
export function httpStatusOf(error: RpcError): number {
  if ('httpStatus' in error && typeof error.httpStatus === 'number') return error.httpStatus;
  return codes[error.code] ?? 500;
}

/** What a client should know beside the code: how to present a key, when to come again. */
export function headersOf(error: RpcError): Record<string, string> {
  const own = 'headers' in error ? (error.headers as Record<string, string>) : {};
  const code = httpStatusOf(error);
  if (code === 401) return { 'www-authenticate': 'Bearer', ...own };
  if (code === 429 || code === 503) return { 'retry-after': '1', ...own };
  return own;
}
