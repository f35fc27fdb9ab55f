import type { inference } from '@modelmill/contracts';
import { RpcError } from '@modelmill/service-kit';
import type { Caller } from './batcher.js';
import * as errors from './errors.js';
import type { VersionLimits } from './served-version.js';

/** Requests that wait until their version is loaded, no more of them than may wait for a loaded one. */
export interface WaitingRoom {
  waiting(): number;
  /** Until it is loaded, and no longer than its caller does. `since`: when the request came. */
  wait(request: inference.ModelInferRequest, caller: Caller, since: number, loaded: () => Promise<void>): Promise<void>;
}

const longestTimerMs = 2 ** 31 - 1; // beyond it Node's fire at once

export function createWaitingRoom(model: string, version: string, limits: VersionLimits): WaitingRoom {
  const { maxQueue, maxQueueBytes, maxWaitMs } = limits;
  let waiting = 0;
  let waitingBytes = 0;

  function admit(bytes: number) {
    if (waiting >= maxQueue) throw errors.queueFull(model, maxQueue);
    if (waiting > 0 && waitingBytes + bytes > maxQueueBytes) throw errors.queueBytesFull(model, maxQueueBytes);
  }

  function patiently(loaded: Promise<void>, { signal, deadline = Infinity }: Caller, mostMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const leftMs = deadline - Date.now();
      const tooLate = leftMs <= mostMs ? errors.deadlineWhileLoading : errors.loadsTooLong;
      const timer = setTimeout(() => reject(tooLate(model, version)), Math.min(leftMs, mostMs, longestTimerMs));
      const gone = () => reject(signal?.reason instanceof RpcError ? signal.reason : errors.callerGone());
      signal?.addEventListener('abort', gone, { once: true });
      if (signal?.aborted === true) gone();
      void loaded.then(resolve, reject).finally(() => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', gone);
      });
    });
  }

  return {
    waiting: () => waiting,
    async wait(request, caller, since, loaded) {
      const bytes = request.rawInputContents.reduce((sum, { byteLength }) => sum + byteLength, 0);
      admit(bytes);
      waiting++;
      waitingBytes += bytes;
      try {
        await patiently(loaded(), caller, since + maxWaitMs - performance.now());
      } finally {
        waiting--;
        waitingBytes -= bytes;
      }
    },
  };
}
