import { status } from '@grpc/grpc-js';
import { MillError } from './mill-error.js';

const firstDelayMs = 100;
const longestDelayMs = 2_000;
const attempts = 6;

/** Whether a call that failed may be made again: only what never reached a server, and only what is safe to repeat. */
export function isRetryable(error: unknown, { attempt, safe }: { attempt: number; safe: boolean }): boolean {
  return safe && attempt < attempts && isUnavailable(error);
}

/** How long to wait after the given attempt (from 1): doubling, with `random` in [0, 1) spreading the upper half. */
export function backoffMs(attempt: number, random: number): number {
  const longest = Math.min(longestDelayMs, firstDelayMs * 2 ** (attempt - 1));
  return longest / 2 + (longest / 2) * random;
}

export const isUnavailable = (error: unknown) => error instanceof MillError && error.code === status.UNAVAILABLE;
