import { setTimeout as sleep } from 'node:timers/promises';
import { JetStreamApiError } from '@nats-io/jetstream';
import { errors } from '@nats-io/transport-node';
import { StoreFullError, StoreUnavailableError } from './errors.js';

/** How long a read or write is repeated while NATS is away. */
export interface Patience {
  readonly forMs: number;
  /** Ends the repeating; the first try is always made. */
  readonly signal?: AbortSignal;
}

/** Longer than a restart, shorter than a user's patience. */
export const usual: Patience = { forMs: 30_000 };
/** For what must not be given up: a job's checkpoint, a job's end. */
export const long: Patience = { forMs: 600_000 };

const firstWaitMs = 50;
const longestWaitMs = 1_000;

/** Repeats an operation, which must be safe to repeat, until NATS answers. Throws StoreUnavailableError, StoreFullError. */
export async function reach<T>(operation: () => Promise<T>, { forMs, signal }: Patience = usual): Promise<T> {
  const giveUpAt = performance.now() + forMs;
  for (let waitMs = firstWaitMs; ; waitMs = Math.min(2 * waitMs, longestWaitMs)) {
    try {
      return await operation();
    } catch (error) {
      if (isFull(error)) throw new StoreFullError(`NATS has no room: ${(error as Error).message}`, { cause: error });
      if (!isPassing(error)) throw error;
      if (performance.now() + waitMs > giveUpAt || signal?.aborted === true) {
        const told = signal?.aborted === true ? 'until its caller stopped' : `for ${forMs} ms`;
        throw new StoreUnavailableError(`NATS did not answer ${told}: ${(error as Error).message}`, { cause: error });
      }
      await sleep(waitMs * (0.5 + Math.random()), undefined, signal && { signal }).catch(() => {}); // aborted: one more try
    }
  }
}

const streamNotFound = 10059; // the server came back empty: openStore makes the streams again
const full = new Set([10023, 10047, 10077]);

const isFull = (error: unknown) => error instanceof JetStreamApiError && full.has(error.code);

/** What a server that restarts answers, or fails to answer. */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof errors.ClosedConnectionError || error instanceof errors.DrainingConnectionError) return false;
  if (error instanceof JetStreamApiError) return error.status === 503 || error.code === streamNotFound;
  return (
    error instanceof errors.TimeoutError ||
    error instanceof errors.RequestError ||
    error instanceof errors.NoRespondersError ||
    error instanceof errors.ConnectionError ||
    error.name === 'JetStreamNotEnabled' || // what the client makes of "no responders"
    error.name === 'JetStreamStatusError'
  );
}

/** Whether a compare-and-set was lost. */
export const isConflict = (error: unknown): boolean => error instanceof JetStreamApiError && error.code === 10071;
