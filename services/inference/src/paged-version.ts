import type { inference, registry } from '@modelmill/contracts';
import type { Caller } from './batcher.js';
import * as errors from './errors.js';
import { checkRequest } from './infer-request.js';
import type { ModelMemory, Tenant } from './model-memory.js';
import { failureReason } from './served-version.js';
import type { LoadedVersion, Measured, ServedVersion, VersionLimits } from './served-version.js';
import { createStatistics } from './statistics.js';
import type { VersionStatistics } from './statistics.js';
import { describedBy, descriptionOf, memoryBytesOf } from './version-description.js';
import { createWaitingRoom } from './waiting-room.js';

export interface PagedOptions {
  readonly found: registry.Version;
  readonly memory: ModelMemory;
  readonly limits: VersionLimits;
  /** The execution provider that a version is expected on, before it was ever loaded. */
  readonly provider: string;
  /** Whether versions that nobody uses may go for it before it has had a request. */
  readonly mayDisplace: boolean;
  /** Whether it is only a shadow's now: then it counts as used by requests alone, and not by having been loaded. */
  aside(): boolean;
  load(kept: Kept, onLost: (reason: string) => void): Promise<LoadedVersion>;
  /** It can no longer answer. */
  onLost(reason: string): void;
  onMove(move: Move): void;
}

/** What a version keeps while it is not in memory. */
export interface Kept {
  readonly statistics: VersionStatistics;
  readonly measured: Measured | undefined;
}

/** `postponed`: there is no room beside what it replaces; it answers from now on, and is loaded when that has gone. */
export type Move =
  { readonly kind: 'loaded'; readonly ms: number } | { readonly kind: 'evicted' } | { readonly kind: 'postponed' };

type State =
  | { readonly kind: 'cold' }
  | { readonly kind: 'entering'; readonly entered: Promise<void> }
  | { readonly kind: 'present'; readonly now: LoadedVersion }
  | { readonly kind: 'leaving'; readonly left: Promise<void> };

/**
 * A version that answers whether it is in memory or not: a request that finds it cold has it loaded. Resolves when it is
 * loaded or, where there is no room for it, at once. Throws what `load` throws, and where it can never fit.
 */
export async function pageVersion(options: PagedOptions): Promise<ServedVersion> {
  const { found, memory, limits, mayDisplace, onMove } = options;
  const { model, version } = found;
  const bytes = memoryBytesOf(found, limits.runners);
  if (bytes > memory.budgetBytes) {
    throw errors.modelTooLarge(model, version, bytes, limits.runners, memory.budgetBytes);
  }
  const room = createWaitingRoom(model, version, limits);
  const statistics = createStatistics();
  let measured: Measured | undefined;
  let state: State = { kind: 'cold' };
  let inUse = 0;
  let asked = 0; // of these, what somebody waits for
  let lastAsked = -Infinity;
  let loadedAt = -Infinity;
  let closed = false;
  let onIdle = () => {};
  const current = (): State => state; // it changes while one waits

  const tenant: Tenant = {
    bytes,
    inUse: () => asked,
    lastUsed: () => (options.aside() ? lastAsked : Math.max(lastAsked, loadedAt)),
    isWanted: () => !closed || inUse > 0,
    leave() {
      if (state.kind === 'present') onMove({ kind: 'evicted' });
      return leave();
    },
  };

  /** One load for all who wait. `cold`: for requests, and for what could not be loaded beside others. */
  function enter(cold: boolean): Promise<void> {
    switch (state.kind) {
      case 'present':
        return Promise.resolve();
      case 'entering':
        return state.entered;
      case 'leaving':
        return state.left.then(() => enter(cold));
      case 'cold': {
        const entered = bring(cold);
        state = { kind: 'entering', entered };
        return entered;
      }
    }
  }

  async function bring(cold: boolean): Promise<void> {
    const begun = performance.now();
    try {
      await memory.enter(tenant, async () => {
        const now = await options.load({ statistics, measured }, lost);
        ({ measured } = now);
        Object.assign(served, descriptionOf(now));
        loadedAt = performance.now();
        state = { kind: 'present', now };
      });
    } catch (error) {
      state = { kind: 'cold' };
      if (cold && !closed) options.onLost(error instanceof Error ? error.message : String(error));
      throw error;
    }
    if (!cold) return;
    const ms = performance.now() - begun;
    memory.loadedCold(ms);
    onMove({ kind: 'loaded', ms });
  }

  function lost(reason: string) {
    if (state.kind !== 'present') return;
    state = { kind: 'cold' };
    memory.left(tenant);
    options.onLost(reason);
  }

  function leave(): Promise<void> {
    if (state.kind === 'leaving') return state.left;
    if (state.kind !== 'present') return Promise.resolve();
    memory.leaving(tenant);
    const left = state.now.unload().then(() => {
      state = { kind: 'cold' };
      memory.left(tenant);
    });
    state = { kind: 'leaving', left };
    return left;
  }

  async function presence(request: inference.ModelInferRequest, caller: Caller): Promise<LoadedVersion> {
    const begun = performance.now();
    const loaded = () =>
      enter(true).catch((cause: unknown) => {
        throw errors.coldLoadFailed(model, version, cause);
      });
    try {
      for (let now = current(); ; now = current()) {
        if (now.kind === 'present') return now.now;
        if (measured !== undefined) checkRequest(served, request); // nothing is loaded for what cannot be answered
        await room.wait(request, caller, begun, loaded);
      }
    } catch (error) {
      statistics.failed(failureReason(error), performance.now() - begun);
      throw error;
    }
  }

  function askedBy(change: 1 | -1) {
    asked += change;
    lastAsked = performance.now();
    if (asked === 0) memory.idle();
  }

  const served: ServedVersion = {
    model,
    version,
    statistics,
    ...describedBy(found, limits.maxBatch, options.provider),
    get memoryBytes() {
      return state.kind === 'present' || state.kind === 'leaving' ? bytes : 0;
    },
    waiting: () => room.waiting() + (state.kind === 'present' ? state.now.waiting() : 0),
    demand: () => (state.kind === 'present' ? state.now.demand() : 0),
    bringIn: () => enter(true),
    bringInBeside() {
      if (state.kind === 'cold' && !closed && memory.hasRoom(bytes, false)) enter(true).catch(() => {}); // onLost tells
    },
    async infer(request, caller = {}) {
      if (closed) throw errors.stopping();
      const { background = false } = caller;
      if (background && current().kind !== 'present') throw errors.notInMemory(model, version);
      inUse++;
      if (!background) askedBy(1);
      try {
        let now = current();
        while (now.kind !== 'present') {
          await presence(request, caller);
          now = current(); // it may have had to leave since
        }
        return await now.now.infer(request, caller);
      } finally {
        inUse--;
        if (!background) askedBy(-1);
        if (inUse === 0) onIdle();
      }
    },
    async unload() {
      closed = true;
      if (current().kind !== 'present') {
        if (inUse > 0) await new Promise<void>((resolve) => (onIdle = resolve));
        const now = current();
        if (now.kind === 'entering') await now.entered.catch(() => {}); // it has told those who waited
      }
      await leave();
    },
  };

  if (memory.hasRoom(bytes, mayDisplace)) await enter(false);
  else if (mayDisplace) {
    onMove({ kind: 'postponed' });
    enter(true).catch(() => {}); // onLost tells
  }
  return served;
}
