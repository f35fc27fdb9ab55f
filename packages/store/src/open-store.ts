import type { Artifacts } from './artifacts.js';
import type { DatasetStore } from './datasets.js';
import type { Events } from './events.js';
import type { Jobs } from './jobs.js';
import type { Registry } from './registry.js';
import type { Replicas } from './replicas.js';

export interface StoreStatus {
  /** `disconnect`, `reconnect`, `error`, `closed`, … */
  readonly type: string;
  readonly data?: unknown;
}

export interface StoreOptions {
  readonly natsUrl: string;
  readonly service: string;
  /** Who writes: events and claims carry it. */
  readonly replica: string;
  readonly artifactsDir: string;
  readonly onStatus?: (status: StoreStatus) => void;
  /** How long to try before giving up at start. */
  readonly waitMs?: number;
  readonly signal?: AbortSignal;
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

/** Connects and makes what is missing. Throws StoreUnavailableError when NATS is not there within `waitMs`. */
export declare function openStore(options: StoreOptions): Promise<Store>;
