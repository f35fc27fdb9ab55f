import type { Events, NewEvent } from './event.js';
import { usual } from './reach.js';
import type { Patience } from './reach.js';
import type { Entry, RecordTable } from './record-table.js';

/**
 * A record that carries the events its last changes caused. Record and events are one write, so a process that dies
 * right after it has lost nothing: whoever sweeps publishes what is left.
 */
export interface WithOutbox {
  readonly outbox: readonly NewEvent[];
}

/** Puts an event in, once, however often a change is applied. */
export const withEvent = <T extends WithOutbox>(record: T, event: NewEvent): T =>
  record.outbox.some(({ msgId }) => msgId === event.msgId) ? record : { ...record, outbox: [...record.outbox, event] };

/** Changes a record, then publishes what it has to tell. */
export async function changeAndTell<T extends WithOutbox>(
  table: RecordTable<T>,
  events: Events,
  key: string,
  change: (now: T | undefined) => T | undefined,
  patience: Patience = usual,
): Promise<Entry<T> | undefined> {
  const entry = await table.change(key, change, patience);
  if (entry !== undefined) await tell(table, entry, events.publish).catch(() => {}); // the sweep comes back to it
  return entry;
}

/** Publishes what processes that died left untold, unless the stream has it already. */
export async function sweepOutbox<T extends WithOutbox>(
  table: RecordTable<T>,
  events: Events,
  wasPublished: (event: NewEvent) => Promise<boolean>,
  olderThanMs: number,
): Promise<void> {
  for (const entry of await table.list()) {
    if (Date.now() - entry.writtenAt.getTime() < olderThanMs) continue;
    await tell(table, entry, async (event) => {
      if (!(await wasPublished(event))) await events.publish(event);
    });
  }
}

async function tell<T extends WithOutbox>(
  table: RecordTable<T>,
  { key, record }: Entry<T>,
  publish: (event: NewEvent) => Promise<void>,
): Promise<void> {
  if (record.outbox.length === 0) return;
  for (const event of record.outbox) await publish(event);
  const told = new Set(record.outbox.map(({ msgId }) => msgId));
  await table.change(key, (now) => {
    if (now === undefined || !now.outbox.some(({ msgId }) => told.has(msgId))) return undefined;
    return { ...now, outbox: now.outbox.filter(({ msgId }) => !told.has(msgId)) };
  });
}
