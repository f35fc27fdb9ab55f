import type { JetStreamClient } from '@nats-io/jetstream';
import type { KV } from '@nats-io/kv';
import { z } from 'zod';
import { checkToken } from './names.js';
import { reach } from './reach.js';
import type { RecordForm, RecordTable } from './record-table.js';
import { replicaTtlMs } from './streams.js';

/** A version that a replica answers for. */
export interface ReplicaModel {
  readonly model: string;
  readonly version: string;
  readonly labels: readonly string[];
  /** It is not in memory: its next request has it loaded. */
  readonly cold?: boolean | undefined;
}

/** One running copy of a service. */
export interface Replica {
  readonly service: string;
  readonly replica: string;
  /** host:port of its gRPC door. */
  readonly address: string;
  readonly models: readonly ReplicaModel[];
  readonly seenAt: Date;
}

export interface Announcement extends AsyncDisposable {
  /** Tells at once what changed. */
  update(patch: { readonly address?: string; readonly models?: readonly ReplicaModel[] }): Promise<void>;
}

/** Who is there: each replica says so every 2 s and is forgotten after 8 s of silence. */
export interface Replicas {
  announce(replica: {
    readonly service: string;
    readonly address: string;
    readonly models?: readonly ReplicaModel[];
  }): Promise<Announcement>;
  list(service: string): Promise<Replica[]>;
  /** Calls when a replica came, changed, went or fell silent: a hint to list again. */
  watch(onChange: () => void): AsyncDisposable;
}

const beatMs = 2_000;

export type ReplicaRecord = Omit<Replica, 'seenAt'>;

const stored = z.object({
  service: z.string(),
  replica: z.string(),
  address: z.string(),
  models: z.array(
    z.object({
      model: z.string(),
      version: z.string(),
      labels: z.array(z.string()),
      cold: z.boolean().optional(),
    }),
  ),
});

export const replicaForm: RecordForm<ReplicaRecord> = { read: (json) => stored.parse(json), write: (record) => record };

export interface ReplicaSource {
  readonly js: JetStreamClient;
  readonly kv: KV;
  readonly table: RecordTable<ReplicaRecord>;
  readonly replica: string;
  onReconnect(call: () => void): Disposable;
}

/** The server forgets by the bucket's time to live: its own clock, so no two clocks are compared. */
export function createReplicas({ js, kv, table, replica, onReconnect }: ReplicaSource): Replicas {
  const keyOf = (service: string) => `${service}.${replica.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64)}`;

  return {
    async announce({ service, address, models = [] }) {
      checkToken('service', service);
      let record: ReplicaRecord = { service, replica, address, models };
      // Its own key, which no one else writes: nothing to compare with, and a late beat harms nobody.
      const beat = () => js.publish(`$KV.mill_replicas.${keyOf(service)}`, JSON.stringify(record));
      await reach(beat);
      const again = () => void beat().catch(() => {}); // the next beat tries again
      const timer = setInterval(again, beatMs);
      const reconnected = onReconnect(again);
      return {
        async update(patch) {
          record = { ...record, ...patch };
          await reach(beat);
        },
        async [Symbol.asyncDispose]() {
          clearInterval(timer);
          reconnected[Symbol.dispose]();
          await kv.delete(keyOf(service)).catch(() => {}); // without NATS the time to live does it
        },
      };
    },

    async list(service) {
      checkToken('service', service);
      const entries = await table.list(`${service}.*`);
      return entries
        .map(({ record, writtenAt }) => ({ ...record, seenAt: writtenAt }))
        .sort((a, b) => (a.replica < b.replica ? -1 : 1));
    },

    watch(onChange) {
      let known = '';
      const values = new Map<string, string>();
      const look = async () => {
        const now = JSON.stringify((await table.list()).map(({ record }) => record).sort(byKey));
        if (now !== known) {
          known = now;
          onChange();
        }
      };
      let looking: Promise<void> | undefined;
      let again = false;
      const onHint = () => {
        again = true;
        looking ??= (async () => {
          while (again) {
            again = false;
            await look().catch(() => {}); // NATS is away: the next tick looks again
          }
        })().finally(() => (looking = undefined));
      };
      const listening = table.hints.listen((change) => {
        if (change !== undefined && values.get(change.key) === change.value) return; // a beat that says nothing new
        if (change !== undefined) values.set(change.key, change.value);
        onHint();
      });
      const timer = setInterval(onHint, replicaTtlMs / 4); // falling silent is no message
      onHint();
      return {
        async [Symbol.asyncDispose]() {
          listening[Symbol.dispose]();
          clearInterval(timer);
          await looking;
        },
      };
    },
  };
}

const byKey = (a: ReplicaRecord, b: ReplicaRecord) =>
  `${a.service} ${a.replica}` < `${b.service} ${b.replica}` ? -1 : 1;
