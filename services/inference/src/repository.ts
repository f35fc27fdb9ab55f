import type { registry } from '@modelmill/contracts';
import { RpcError } from '@modelmill/service-kit';
import * as errors from './errors.js';
import {
  emptyEntry,
  indexOf,
  isKnown,
  isShadowAlone,
  labelsText,
  loadedOf,
  missing,
  readyOf,
  wanted,
} from './repository-entry.js';
import type { Entry, ModelIndex } from './repository-entry.js';
import type { ServedVersion } from './served-version.js';
import { createTrafficSplit, sameTargets } from './traffic-split.js';
import type { Routed } from './trials.js';

/** What happens to versions, for those who must know. */
export type RepositoryEvent =
  | { readonly kind: 'ready'; readonly served: ServedVersion }
  | { readonly kind: 'unloaded'; readonly model: string; readonly version: string }
  | { readonly kind: 'failed'; readonly model: string; readonly version: string; readonly reason: string };

export interface RepositoryOptions {
  /** `onLost` is called when a loaded version can no longer answer. `aside`: nothing may leave the memory for it now. */
  load(version: registry.Version, onLost: (reason: string) => void, aside: () => boolean): Promise<ServedVersion>;
  onEvent(event: RepositoryEvent): void;
  /** What answers a request that a label sent to a version, where not the version alone. */
  through?(routed: Routed): ServedVersion;
  /** How long a version that failed to load rests before it is tried again. */
  readonly retryMs: number;
}

/** The versions this replica answers for: those that labels point at, and those it was told to load. */
export interface Repository extends AsyncDisposable {
  /**
   * Brings what is loaded in line with the registry: new versions are loaded beside the old, which then go. What is only a
   * shadow's comes when all else is there, one at a time.
   */
  follow(models: readonly registry.Model[]): void;
  /** By number, by label, or the server's choice. Throws what `errors.ts` says where there is none. */
  find(model: string, version: string): ServedVersion;
  /** Like `find`, and undefined for what is known but not answered for. */
  findLoaded(model: string, version: string): ServedVersion | undefined;
  /** By number, whoever it answers. */
  ready(model: string, version: string): ServedVersion | undefined;
  /** Every version that is answered for, in memory or not, of one model or of all. */
  loaded(model?: string): ServedVersion[];
  knows(model: string): boolean;
  index(): ModelIndex[];
  /** Loads a model's admitted versions, beyond those a label names, and waits for them. */
  load(model: string): Promise<void>;
  /** Unloads a model until it is loaded again or a label moves, and waits for its last answers. */
  unload(model: string): Promise<void>;
  /** Labels that send traffic to a version. */
  labelsOf(served: ServedVersion): string[];
  /** Resolves when nothing is being loaded or unloaded but shadows. */
  settled(): Promise<void>;
}

export function createRepository({ load, onEvent, through, retryMs }: RepositoryOptions): Repository {
  const entries = new Map<string, Entry>();
  const busy = new Set<Promise<void>>();
  const shadows = new Set<Promise<void>>(); // one at most
  let bringing = 0;
  let closed = false;

  function track(work: Promise<void>, among = busy) {
    among.add(work);
    void work.finally(() => among.delete(work));
  }

  async function idle() {
    while (busy.size + shadows.size > 0) await Promise.all([...busy, ...shadows]);
  }

  function align(entry: Entry) {
    const { known } = entry;
    if (entry.unloadedAt !== undefined && entry.unloadedAt !== labelsText(known)) entry.unloadedAt = undefined;
    for (const version of missing(entry, retryMs)) {
      if (!isShadowAlone(entry, version.version)) track(bring(entry, version));
    }
    route(entry);
    dropUnwanted(entry);
  }

  function bringNextShadow() {
    if (bringing > 0 || closed) return;
    for (const entry of entries.values()) {
      const next = missing(entry, retryMs).find(({ version }) => isShadowAlone(entry, version));
      if (next !== undefined) return track(bring(entry, next), shadows);
    }
  }

  async function bring(entry: Entry, version: registry.Version): Promise<void> {
    entry.held.set(version.version, { kind: 'loading' });
    bringing++;
    try {
      const lost = (reason: string) => {
        if (readyOf(entry, version.version) === served) failed(reason);
      };
      const served = await load(version, lost, () => isShadowAlone(entry, version.version));
      entry.held.set(version.version, { kind: 'ready', served });
      route(entry);
      onEvent({ kind: 'ready', served });
    } catch (error) {
      failed(error instanceof Error ? error.message : String(error), error instanceof RpcError ? error : undefined);
    }
    bringing--;
    dropUnwanted(entry);
    bringNextShadow();

    function failed(reason: string, refusal?: RpcError) {
      entry.held.set(version.version, { kind: 'failed', reason, at: performance.now(), refusal });
      route(entry);
      onEvent({ kind: 'failed', model: version.model, version: version.version, reason });
    }
  }

  /** A label's requests move when every one of its new targets is ready, and not before. */
  function route(entry: Entry) {
    const { known, routes } = entry;
    const isReady = ({ version }: registry.LabelTarget) => entry.held.get(version)?.kind === 'ready';
    for (const name of routes.keys()) {
      if (!known.labels.some((label) => label.name === name)) routes.delete(name);
    }
    for (const { name, targets } of known.labels) {
      const now = routes.get(name);
      const ready = targets.filter(isReady);
      const stillGood = now !== undefined && now.targets.every(isReady);
      const next = ready.length === targets.length || !stillGood ? ready : now.targets;
      if (next.length === 0) routes.delete(name);
      else if (now === undefined || !sameTargets(now.targets, next)) routes.set(name, createTrafficSplit(next));
    }
  }

  function dropUnwanted(entry: Entry) {
    const keep = new Set(wanted(entry).map(({ version }) => version));
    if (entry.unloadedAt === undefined) {
      for (const { targets } of entry.routes.values()) targets.forEach(({ version }) => keep.add(version));
    }
    for (const [version, held] of entry.held) {
      if (keep.has(version)) continue;
      if (held.kind === 'failed') entry.held.delete(version);
      if (held.kind === 'ready') track(drop(entry, version, held.served));
    }
  }

  async function drop(entry: Entry, version: string, served: ServedVersion): Promise<void> {
    entry.held.set(version, { kind: 'unloading' });
    route(entry);
    await served.unload();
    entry.held.delete(version);
    onEvent({ kind: 'unloaded', model: served.model, version });
    align(entry); // it may be wanted again by now
    bringNextShadow();
  }

  function choose(entry: Entry, version: string): ServedVersion | undefined {
    const direct = entry.held.get(version);
    if (direct?.kind === 'ready') return direct.served;
    const label = version === '' ? 'stable' : version;
    const route = entry.routes.get(label);
    if (route !== undefined) {
      const served = readyOf(entry, route.next());
      if (served === undefined || through === undefined) return served;
      return through({ model: entry.known, label, targets: route.targets, served });
    }
    return version === ''
      ? loadedOf(entry)
          .filter((served) => !isShadowAlone(entry, served.version))
          .at(-1)
      : undefined;
  }

  const repository: Repository = {
    follow(models) {
      for (const [name, entry] of entries) {
        if (!models.some((model) => model.name === name)) entry.known = { name, labels: [], versions: [] };
      }
      for (const model of models) {
        const entry = entries.get(model.name);
        if (entry === undefined) entries.set(model.name, emptyEntry(model));
        else entry.known = model;
      }
      for (const [name, entry] of entries) {
        align(entry);
        if (entry.held.size === 0 && !models.some((model) => model.name === name)) entries.delete(name);
      }
      bringNextShadow();
    },
    find(model, version) {
      const entry = entries.get(model);
      if (entry === undefined) throw errors.modelNotFound(model);
      const served = choose(entry, version);
      if (served !== undefined) return served;
      throw unfound(entry, version);
    },
    findLoaded(model, version) {
      const entry = entries.get(model);
      if (entry === undefined) throw errors.modelNotFound(model);
      const served = choose(entry, version);
      if (served === undefined && version !== '' && !isKnown(entry, version)) {
        throw errors.versionNotFound(model, version);
      }
      return served;
    },
    ready(model, version) {
      const entry = entries.get(model);
      return entry && readyOf(entry, version);
    },
    loaded: (model) =>
      [...entries.values()].filter(({ known }) => model === undefined || known.name === model).flatMap(loadedOf),
    knows: (model) => entries.has(model),
    index: () => [...entries.values()].flatMap(indexOf),
    async load(model) {
      const entry = entries.get(model);
      if (entry === undefined) throw errors.loadUnknown(model);
      entry.all = true;
      entry.unloadedAt = undefined;
      for (const [version, held] of entry.held) if (held.kind === 'failed') entry.held.delete(version);
      align(entry);
      await idle();
      const failed = [...entry.held.values()].find((held) => held.kind === 'failed');
      if (failed !== undefined) throw errors.loadFailed(model, failed.reason);
      if (loadedOf(entry).length === 0) throw errors.loadFailed(model, 'no version is available');
      for (const served of loadedOf(entry)) await served.bringIn().catch(rethrown);

      function rethrown(error: unknown): never {
        throw errors.loadFailed(model, error instanceof Error ? error.message : String(error));
      }
    },
    async unload(model) {
      const entry = entries.get(model);
      if (entry === undefined) throw errors.unloadUnknown(model);
      entry.all = false;
      entry.unloadedAt = labelsText(entry.known);
      dropUnwanted(entry);
      await idle();
    },
    labelsOf({ model, version }) {
      const routes = [...(entries.get(model)?.routes ?? [])];
      return routes.filter(([, { targets }]) => targets.some((t) => t.version === version)).map(([name]) => name);
    },
    async settled() {
      while (busy.size > 0) await Promise.all(busy);
    },
    async [Symbol.asyncDispose]() {
      closed = true;
      await idle();
      await Promise.all(repository.loaded().map((served) => served.unload()));
    },
  };
  return repository;
}

function unfound(entry: Entry, version: string): Error {
  const { name, labels } = entry.known;
  const named = labels.find((label) => label.name === (version || 'stable'))?.targets.map((target) => target.version);
  for (const held of (named ?? [version]).map((number) => entry.held.get(number))) {
    if (held?.kind === 'failed' && held.refusal) return held.refusal;
  }
  if (version !== '' && !isKnown(entry, version)) return errors.versionNotFound(name, version);
  if (version !== '') return errors.versionNotReady(name, version);
  const loading = [...entry.held].find(([, { kind }]) => kind === 'loading');
  return loading === undefined ? errors.noVersions(name) : errors.versionNotReady(name, loading[0]);
}
