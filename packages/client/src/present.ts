import { status } from '@grpc/grpc-js';
import { MillError } from './mill-error.js';

/** Proto3 messages are optional; the contracts promise this one. */
export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new MillError(status.INTERNAL, `the server's answer has no ${what}`);
  return value;
}
