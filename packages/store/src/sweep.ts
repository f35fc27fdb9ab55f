import { setTimeout as sleep } from 'node:timers/promises';

/** Does every task again and again, with a rest between rounds, until disposed. A task that fails is for the next round. */
export function startSweep(restMs: number, tasks: readonly (() => Promise<void>)[]): AsyncDisposable {
  const closing = new AbortController();
  async function run() {
    while (!closing.signal.aborted) {
      for (const task of tasks) {
        if (closing.signal.aborted) return;
        await task().catch(() => {}); // NATS is away, or a record is damaged: reading it tells its reader
      }
      await sleep(restMs, undefined, { signal: closing.signal }).catch(() => {});
    }
  }
  const running = run();
  return {
    async [Symbol.asyncDispose]() {
      closing.abort();
      await running;
    },
  };
}
