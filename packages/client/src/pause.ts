import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from './retry.js';

/** Waits out the backoff after an attempt, or until the signal aborts, whichever comes first. */
export async function pauseAfter(attempt: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted) return;
  await delay(backoffMs(attempt, Math.random()), undefined, { signal }).catch(() => {}); // the caller looks at the signal
}
