import { randomUUID } from 'node:crypto';
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream';
import type { KV, KvEntry } from '@nats-io/kv';
import { headers } from '@nats-io/transport-node';
import { StoreFullError } from './errors.js';
import { isConflict, reach, usual } from './reach.js';
import type { Patience } from './reach.js';
import { createHints } from './hints.js';
import type { Hints } from './hints.js';

/** How a record becomes JSON and back. `read` throws on what it does not understand. */
export interface RecordForm<T> {
  write(record: T): unknown;
  read(json: unknown): T;
}

export interface Entry<T> {
  readonly key: string;
  readonly record: T;
  readonly revision: number;
  /** By the server's clock. */
  readonly writtenAt: Date;
}

/** The records of one KV bucket. Every write is a compare-and-set on the revision that was read. */
export interface RecordTable<T> {
  get(key: string): Promise<Entry<T> | undefined>;
  /** Keys by pattern: `digits.*`. */
  list(pattern?: string): Promise<Entry<T>[]>;
  /**
   * Reads, changes and writes until no one came between. `change` runs again on what it has not seen, possibly on its
   * own effect when an answer was lost: applying it twice must be as applying it once. Undefined: nothing is written.
   */
  change(
    key: string,
    change: (now: T | undefined) => T | undefined,
    patience?: Patience,
  ): Promise<Entry<T> | undefined>;
  remove(key: string): Promise<void>;
  /** Calls with the key that changed, and without one when anything may have changed. */
  readonly hints: Hints;
}

const readsAtOnce = 16;
export const maxRecordBytes = 900_000; // the server's max_payload is 1 MB by default

export function createRecordTable<T>(
  { js, jsm }: { readonly js: JetStreamClient; readonly jsm: JetStreamManager },
  kv: KV,
  bucket: string,
  form: RecordForm<T>,
): RecordTable<T> {
  const prefix = `$KV.${bucket}.`;

  function entryOf(entry: KvEntry): Entry<T> | undefined {
    if (entry.operation !== 'PUT') return undefined;
    return { key: entry.key, record: read(entry), revision: entry.revision, writtenAt: entry.created };
  }

  function read(entry: KvEntry): T {
    try {
      return form.read(entry.json<unknown>());
    } catch (cause) {
      throw new Error(`the record '${entry.key}' of ${bucket} is damaged: ${String(cause)}`, { cause });
    }
  }

  /** Undefined when the compare-and-set was lost. A repeat has the same id, so it cannot be applied twice. */
  async function write(key: string, payload: string, revision: number, patience: Patience, operation?: 'DEL') {
    const header = headers();
    header.set('Nats-Expected-Last-Subject-Sequence', String(revision));
    if (operation !== undefined) header.set('KV-Operation', operation);
    const options = { msgID: randomUUID(), headers: header };
    try {
      return await reach(() => js.publish(`${prefix}${key}`, payload, options), patience);
    } catch (error) {
      if (isConflict(error)) return undefined;
      throw error;
    }
  }

  async function get(key: string): Promise<Entry<T> | undefined> {
    const entry = await reach(() => kv.get(key));
    return entry === null ? undefined : entryOf(entry);
  }

  return {
    get,
    hints: createHints(kv),
    async list(pattern = '>') {
      // Not the client's history(): it ends with the last pending message, which a write in between takes away.
      const filter = { subjects_filter: `${prefix}${pattern}` };
      const { state } = await reach(() => jsm.streams.info(`KV_${bucket}`, filter));
      const keys = Object.keys(state.subjects ?? {}).map((subject) => subject.slice(prefix.length));
      const found: Entry<T>[] = [];
      const readOn = async () => {
        for (let key = keys.pop(); key !== undefined; key = keys.pop()) {
          const entry = await get(key);
          if (entry !== undefined) found.push(entry);
        }
      };
      await Promise.all(Array.from({ length: readsAtOnce }, readOn));
      return found;
    },
    async change(key, change, patience = usual) {
      for (;;) {
        const entry = await reach(() => kv.get(key), patience);
        const now = entry === null ? undefined : entryOf(entry);
        const wanted = change(now?.record);
        if (wanted === undefined) return now;
        const payload = JSON.stringify(form.write(wanted));
        if (Buffer.byteLength(payload) > maxRecordBytes) {
          throw new StoreFullError(`the record '${key}' has ${payload.length} bytes, its limit is ${maxRecordBytes}`);
        }
        const ack = await write(key, payload, entry?.revision ?? 0, patience);
        if (ack) return { key, record: wanted, revision: ack.seq, writtenAt: new Date() };
      }
    },
    async remove(key) {
      for (;;) {
        const entry = await reach(() => kv.get(key));
        if (entry === null || entry.operation !== 'PUT') return;
        if (await write(key, '', entry.revision, usual, 'DEL')) return;
      }
    },
  };
}
