import { setTimeout as sleep } from 'node:timers/promises';
import type { KV, KvWatchEntry } from '@nats-io/kv';
import type { QueuedIterator } from '@nats-io/transport-node';

/** One key changed; undefined: anything may have. */
export type OnHint = (change?: { readonly key: string; readonly value: string }) => void;

/** That something may have changed in a bucket. Who is told reads again: a watch may repeat itself or miss. */
export interface Hints extends AsyncDisposable {
  listen(onHint: OnHint): Disposable;
  /** Everything may have changed: the connection came back. */
  all(): void;
}

const everyMs = 30_000;
const restMs = 1_000;

/** One watch per bucket, however many listen; it starts with the first. */
export function createHints(kv: KV): Hints {
  const listeners = new Set<OnHint>();
  const closing = new AbortController();
  let watch: QueuedIterator<KvWatchEntry> | undefined;
  let watching: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;

  const tell: OnHint = (change) => {
    for (const listener of listeners) listener(change);
  };

  async function run() {
    while (!closing.signal.aborted) {
      try {
        watch = await kv.watch({ include: 'updates' });
        if (closing.signal.aborted) watch.stop();
        else tell(); // what happened before the watch stood
        for await (const entry of watch) tell({ key: entry.key, value: entry.string() });
      } catch {
        // NATS is away, or the bucket is being made again: whoever listens is told when the watch stands
      }
      await sleep(restMs, undefined, { signal: closing.signal }).catch(() => {});
    }
  }

  return {
    listen(onHint) {
      listeners.add(onHint);
      watching ??= run();
      timer ??= setInterval(() => tell(), everyMs);
      return { [Symbol.dispose]: () => void listeners.delete(onHint) };
    },
    all() {
      watch?.stop(); // a new one starts: watches have died after reconnects
      tell();
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      clearInterval(timer);
      watch?.stop();
      await watching;
    },
  };
}
