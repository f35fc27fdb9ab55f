import { setTimeout as sleep } from 'node:timers/promises';
import type { Events } from './event.js';
import { ended, requeued } from './job-changes.js';
import type { JobQueue } from './job-queue.js';
import { hasEnded } from './job-record.js';
import type { JobKind } from './job-kind.js';
import type { StoredJob } from './job-record.js';
import { changeAndTell } from './outbox.js';
import type { Entry, RecordTable } from './record-table.js';

export interface Sweeping {
  readonly table: RecordTable<StoredJob>;
  readonly queue: JobQueue;
  readonly events: Events;
  readonly kind: JobKind;
  readonly ackWaitMs: number;
  /** Whether this worker has nothing to do. */
  idle(): boolean;
  readonly signal: AbortSignal;
}

const slowestDeliveryMs = 60_000;

/**
 * Puts jobs back in the queue that nobody would ever be told of: the submitter died before it queued, the message is
 * gone, the server stopped delivering it, the owner fell silent and was not replaced. Silence is a revision that did
 * not change while this process looked on, so no clocks are compared.
 */
export async function sweepJobs(sweeping: Sweeping): Promise<void> {
  const { table, queue, kind, ackWaitMs, idle, signal } = sweeping;
  const seen = new Map<string, { readonly revision: number; readonly since: number }>();

  /** How long a record has not changed before these eyes. */
  function silentMs({ key, revision }: Entry<StoredJob>): number {
    const known = seen.get(key);
    if (known?.revision === revision) return performance.now() - known.since;
    seen.set(key, { revision, since: performance.now() });
    return 0;
  }

  async function isForgotten(entry: Entry<StoredJob>): Promise<boolean> {
    const silent = silentMs(entry);
    if (entry.record.owner !== '') return silent > 3 * ackWaitMs;
    if (silent < ackWaitMs) return false;
    if (!(await queue.holds(entry.record))) return true;
    return idle() && silent > Math.max(slowestDeliveryMs, 3 * ackWaitMs);
  }

  async function sweep(): Promise<void> {
    const open = (await table.list()).filter(({ record: { job } }) => job.kind === kind && !hasEnded(job));
    for (const key of seen.keys()) if (!open.some((entry) => entry.key === key)) seen.delete(key);
    for (const entry of open) {
      if (signal.aborted) return;
      if (await isForgotten(entry)) await putBack(sweeping, entry);
    }
  }

  while (!signal.aborted) {
    await sweep().catch(() => {}); // NATS is away: the next sweep sees
    await sleep(Math.max(1_000, ackWaitMs), undefined, { signal }).catch(() => {});
  }
}

async function putBack({ table, queue, events }: Sweeping, { key, revision, record }: Entry<StoredJob>): Promise<void> {
  const generation = record.generation + 1;
  const entry = await changeAndTell(table, events, key, (now) => {
    const same = now?.attempt === record.attempt && now.beat === record.beat && now.generation === record.generation;
    if (!same || hasEnded(now.job)) return undefined;
    return now.job.cancelRequested ? ended(now, { $case: 'cancelled', cancelled: {} }) : requeued(now);
  });
  const back = entry !== undefined && entry.revision > revision && entry.record.generation === generation;
  if (back && entry.record.sequence === 0) await queue.enqueue(entry);
}
