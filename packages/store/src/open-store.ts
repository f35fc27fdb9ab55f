import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { openFileArtifacts } from './artifacts.js';
import type { Artifacts } from './artifacts.js';
import { connectNats, goodbye } from './connection.js';
import type { StoreStatus } from './connection.js';
import { createDatasetStore, datasetForm } from './datasets.js';
import type { DatasetStore } from './datasets.js';
import { createEvents, wasPublished } from './events.js';
import type { ContextHeaders, Events, NewEvent } from './event.js';
import { createJobQueue } from './job-queue.js';
import { jobForm } from './job-record.js';
import { createJobs } from './jobs.js';
import type { Jobs } from './jobs.js';
import { registryForm } from './model-records.js';
import { sweepOutbox } from './outbox.js';
import { reach } from './reach.js';
import { createRecordTable } from './record-table.js';
import { createRegistry } from './registry.js';
import type { Registry } from './registry.js';
import { createReplicas, replicaForm } from './replicas.js';
import type { Replicas } from './replicas.js';
import { startSweep } from './sweep.js';
import { ensureStreams } from './streams.js';

export interface StoreOptions {
  /** nats://host:port, with user:password@ where the server wants them. */
  readonly natsUrl: string;
  readonly service: string;
  /** Who writes: events and claims carry it. */
  readonly replica: string;
  readonly artifactsDir: string;
  readonly onStatus?: (status: StoreStatus) => void;
  /** How long to try before giving up at start. Default: 30 s. */
  readonly waitMs?: number;
  /** How often to finish what processes that died left undone. Default: 15 s. */
  readonly sweepMs?: number;
  /** Ends the trying. */
  readonly signal?: AbortSignal;
  /** Headers for everything published: the trace context. */
  readonly headers?: ContextHeaders;
}

/** What outlives a process. */
export interface Store extends AsyncDisposable {
  readonly registry: Registry;
  readonly datasets: DatasetStore;
  readonly jobs: Jobs;
  readonly events: Events;
  readonly replicas: Replicas;
  readonly artifacts: Artifacts;
}

const answerMs = 2_000; // faster failure than the default 5 s; a repeat has the same id

/** Connects and makes what is missing. Throws StoreUnavailableError when NATS is not there within `waitMs`. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const {
    natsUrl,
    service,
    replica,
    artifactsDir,
    waitMs = 30_000,
    sweepMs = 15_000,
    signal,
    headers = () => ({}),
  } = options;
  const reconnectCalls = new Set<() => void>();
  let connectedAt = performance.now();
  const onStatus = (status: StoreStatus) => {
    options.onStatus?.(status);
    if (status.type !== 'reconnect') return;
    connectedAt = performance.now();
    for (const call of reconnectCalls) call();
  };
  const onReconnect = (call: () => void): Disposable => {
    reconnectCalls.add(call);
    return { [Symbol.dispose]: () => void reconnectCalls.delete(call) };
  };

  const artifacts = await openFileArtifacts(artifactsDir);
  const nats = await connectNats({ natsUrl, service, replica, waitMs, onStatus, signal });
  try {
    const js = jetstream(nats, { timeout: answerMs });
    const jsm = await reach(() => jetstreamManager(nats, { timeout: answerMs, checkAPI: false }), { forMs: waitMs });
    const buckets = await reach(() => ensureStreams(js, jsm), { forMs: waitMs });

    const models = createRecordTable({ js, jsm }, buckets.mill_models, 'mill_models', registryForm);
    const datasets = createRecordTable({ js, jsm }, buckets.mill_datasets, 'mill_datasets', datasetForm);
    const jobs = createRecordTable({ js, jsm }, buckets.mill_jobs, 'mill_jobs', jobForm);
    const replicas = createRecordTable({ js, jsm }, buckets.mill_replicas, 'mill_replicas', replicaForm);
    const tables = [models, datasets, jobs, replicas];

    const events = createEvents({ js, jsm, onReconnect }, replica, headers);
    const registry = createRegistry(models, events, replica);
    const queue = createJobQueue(js, jsm, jobs, headers);
    const connectedForMs = () => performance.now() - connectedAt;

    const isPublished = (event: NewEvent) => wasPublished(jsm, event);
    const sweeping = startSweep(sweepMs, [
      () => sweepOutbox(models, events, isPublished, sweepMs),
      () => sweepOutbox(datasets, events, isPublished, sweepMs),
      () => sweepOutbox(jobs, events, isPublished, sweepMs),
      () => registry.moveWaitingLabels(),
    ]);
    onReconnect(() => {
      void ensureStreams(js, jsm).catch(() => {}); // the server may have come back empty; every use tells if not
      for (const { hints } of tables) hints.all();
    });

    return {
      registry,
      datasets: createDatasetStore(datasets, events),
      jobs: createJobs({ js, jsm, table: jobs, queue, events, replica, connectedForMs }),
      events,
      replicas: createReplicas({ js, kv: buckets.mill_replicas, table: replicas, replica, onReconnect }),
      artifacts,
      async [Symbol.asyncDispose]() {
        const ending = [sweeping, ...tables.map(({ hints }) => hints)].map((one) => one[Symbol.asyncDispose]());
        await goodbye(nats); // ends their waiting
        await Promise.all(ending);
      },
    };
  } catch (error) {
    await nats.close();
    throw error;
  }
}
