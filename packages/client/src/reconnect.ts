import { status } from '@grpc/grpc-js';
import { MillError } from './mill-error.js';
import { pauseAfter } from './pause.js';
import { isUnavailable } from './retry.js';

/** How long a stream may stay broken before its reader is told. */
const patienceMs = 60_000;
/** What lasted so long was connected, even if nothing was said: to connect takes 20 s at most. */
const connectedMs = 30_000;

/**
 * Reads `open()` again and again: after a broken connection, and after an end that `isDone` does not expect.
 * Ends quietly when the signal aborts.
 */
export async function* reconnecting<T>(
  open: () => AsyncIterable<T>,
  isDone: (last: T | undefined) => boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void, undefined> {
  let last: T | undefined;
  let brokenAt: number | undefined;
  for (let attempt = 1; !signal?.aborted; attempt++) {
    let problem: unknown;
    const openedAt = Date.now();
    try {
      for await (const message of open()) {
        attempt = 1;
        brokenAt = undefined;
        last = message;
        yield message;
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (!isBroken(error)) throw error;
      problem = error;
    }
    if (isDone(last)) return;
    const now = Date.now();
    if (now - openedAt > connectedMs) brokenAt = now;
    brokenAt ??= now;
    if (problem instanceof MillError && now - brokenAt > patienceMs) throw problem;
    await pauseAfter(attempt, signal);
  }
}

/** A server that shuts down cancels the streams that outlive its drain. */
const isBroken = (error: unknown) =>
  isUnavailable(error) || (error instanceof MillError && error.code === status.CANCELLED);
