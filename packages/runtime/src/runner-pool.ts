import { RunnerError } from './runner-error.js';
import { startRunner } from './runner.js';
import type { LoadedModel, RunResult, Runner } from './runner.js';
import type { RunnerOptions } from './runner-options.js';
import type { TensorData } from './tensor.js';

export interface RunnerPoolOptions extends RunnerOptions {
  /** How many runner processes; each holds every model. */
  readonly runners: number;
  readonly onRunner?: (event: RunnerEvent) => void;
}

export type RunnerEvent =
  | { readonly kind: 'started'; readonly pid: number }
  | { readonly kind: 'exited'; readonly pid: number; readonly reason: string }
  | { readonly kind: 'unstartable'; readonly reason: string };

export interface PoolRunOptions {
  readonly signal?: AbortSignal;
  /** About how long it should take, where that is known. */
  readonly expectedMs?: number;
}

/**
 * Runners that stand in for one another. One that ends is replaced, with what it had loaded; a request that had not
 * begun there is made again, and one that was being executed is made again once: it may be the victim, not the cause.
 */
export interface RunnerPool extends AsyncDisposable {
  /** Loads on one runner after the other, so that the rest go on answering. Throws RunnerError, loaded nowhere then. */
  load(id: string, path: string): Promise<LoadedModel>;
  unload(id: string): Promise<void>;
  run(
    id: string,
    inputs: ReadonlyMap<string, TensorData>,
    outputs?: readonly string[],
    options?: PoolRunOptions,
  ): Promise<RunResult>;
  /**
   * Requests that are under way, where a load counts as many, and runners that have none of them and could answer for every model.
   */
  occupancy(): { readonly requests: number; readonly idle: number };
  models(): ReadonlyMap<string, LoadedModel>;
  /** The processes that are up. */
  pids(): number[];
}

interface Slot {
  runner: Runner | undefined;
  /** Ids it can answer for. */
  readonly loaded: Set<string>;
  inFlight: number;
  /** When it should be done with that; 0 where it has nothing. */
  freeAt: number;
  /** How long all of that should take. */
  expectedMs: number;
  /** Resolves when it is up with every model of the time. */
  settled: Promise<void>;
}

const maxExecutions = 2;
const maxCrashes = 3;
const maxPauseMs = 5_000;

export async function startRunnerPool(options: RunnerPoolOptions): Promise<RunnerPool> {
  const { onRunner = () => {} } = options;
  const files = new Map<string, { path: string; model: LoadedModel; crashes: number }>();
  const slots: Slot[] = [];
  let wakers: (() => void)[] = [];
  let closed = false;

  /** Takes the slot's place in the world: starts a runner, watches it, loads what is to be loaded. */
  async function fill(slot: Slot): Promise<void> {
    const runner = await startRunner(options);
    if (closed) return runner[Symbol.asyncDispose]();
    slot.runner = runner;
    onRunner({ kind: 'started', pid: runner.pid });
    void runner.exited.then(({ reason }) => {
      slot.runner = undefined;
      slot.loaded.clear();
      onRunner({ kind: 'exited', pid: runner.pid, reason });
      slot.settled = refill(slot);
    });
    for (const id of files.keys()) await reload(slot, runner, id);
  }

  /** A model that is refused, or ends its runner again and again while it is reloaded, is given up. */
  async function reload(slot: Slot, runner: Runner, id: string): Promise<void> {
    const file = files.get(id);
    if (file === undefined || slot.loaded.has(id)) return;
    try {
      await runner.load(id, file.path);
      slot.loaded.add(id);
      file.crashes = 0;
    } catch (error) {
      if (!(error instanceof RunnerError)) throw error;
      const someoneElse = error.kind === 'crashed' && (error.innocent || ++file.crashes < maxCrashes);
      if (!someoneElse && !closed) files.delete(id);
    }
    wake();
  }

  async function refill(slot: Slot): Promise<void> {
    for (let pauseMs = 50; !closed; pauseMs = Math.min(2 * pauseMs, maxPauseMs)) {
      try {
        return await fill(slot);
      } catch (error) {
        onRunner({ kind: 'unstartable', reason: error instanceof Error ? error.message : String(error) });
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  function wake() {
    const woken = wakers;
    wakers = [];
    for (const waker of woken) waker();
  }

  const nextChange = (signal?: AbortSignal) =>
    new Promise<void>((resolve) => {
      wakers.push(resolve);
      signal?.addEventListener('abort', () => resolve(), { once: true });
    });

  /**
   * The least busy runner that has the model, with one request more from now on; waits while every one that should have it is
   * being replaced.
   */
  async function enter(id: string, { signal, expectedMs = 0 }: PoolRunOptions): Promise<[Slot, Runner]> {
    for (;;) {
      if (closed) throw new RunnerError('refused', 'the runners are closed');
      if (signal?.aborted === true) throw new RunnerError('cancelled', 'the caller went away');
      let best: (Slot & { runner: Runner }) | undefined;
      for (const slot of slots) {
        if (isUp(slot) && slot.loaded.has(id) && (best === undefined || isFreeBefore(slot, best))) best = slot;
      }
      if (best !== undefined) {
        best.inFlight++;
        best.expectedMs += expectedMs;
        best.freeAt = Math.max(best.freeAt, performance.now()) + expectedMs;
        return [best, best.runner];
      }
      if (!files.has(id)) throw new RunnerError('refused', `model '${id}' is not loaded`);
      await nextChange(signal);
    }
  }

  /** Where the runner went down before the load began, it is made on the next one. */
  async function loadOn(slot: Slot, id: string, path: string): Promise<LoadedModel | undefined> {
    for (;;) {
      await slot.settled;
      const { runner } = slot;
      if (runner === undefined || closed) throw new RunnerError('refused', 'the runners are closed');
      if (slot.loaded.has(id)) return undefined; // it came up with it
      slot.inFlight += busy;
      try {
        const model = await runner.load(id, path);
        slot.loaded.add(id);
        return model;
      } catch (error) {
        if (!(error instanceof RunnerError && error.innocent) || closed) throw error;
        await runner.exited;
      } finally {
        slot.inFlight -= busy;
      }
    }
  }

  async function unload(id: string) {
    files.delete(id);
    wake();
    await Promise.all(
      slots.map(async ({ runner, loaded }) => {
        if (loaded.delete(id)) await runner?.unload(id).catch(() => {}); // a runner that ended has unloaded it
      }),
    );
  }

  const pool: RunnerPool = {
    async load(id, path) {
      let model: LoadedModel | undefined;
      try {
        for (const slot of slots) {
          model = (await loadOn(slot, id, path)) ?? model;
          if (model !== undefined) files.set(id, { path, model, crashes: 0 });
        }
      } catch (error) {
        await unload(id);
        throw error;
      }
      wake();
      return files.get(id)!.model;
    },
    unload,
    async run(id, inputs, outputs, options = {}) {
      for (let executions = 0; ;) {
        const [slot, runner] = await enter(id, options);
        try {
          return await runner.run(id, inputs, outputs, options.signal);
        } catch (error) {
          if (!(error instanceof RunnerError) || error.kind !== 'crashed' || closed) throw error;
          // whoever kills one runner from outside may have killed them all
          const most = error.killed ? Math.max(maxExecutions, slots.length + 1) : maxExecutions;
          if (!error.innocent && ++executions >= most) throw error;
          slot.loaded.clear(); // its end is known here before its exit is
        } finally {
          const isIdle = --slot.inFlight === 0;
          slot.expectedMs = isIdle ? 0 : slot.expectedMs - (options.expectedMs ?? 0);
          slot.freeAt = isIdle ? 0 : performance.now() + slot.expectedMs;
        }
      }
    },
    occupancy() {
      const up = slots.filter(isUp);
      return {
        requests: up.reduce((sum, { inFlight }) => sum + inFlight, 0),
        idle: up.filter(({ inFlight, loaded }) => inFlight === 0 && loaded.size >= files.size).length,
      };
    },
    models: () => new Map([...files].map(([id, { model }]) => [id, model])),
    pids: () => slots.flatMap(({ runner }) => runner?.pid ?? []),
    async [Symbol.asyncDispose]() {
      closed = true;
      wake();
      await Promise.all(slots.map(({ runner }) => runner?.[Symbol.asyncDispose]()));
      await Promise.all(slots.map(({ settled }) => settled.catch(() => {})));
    },
  };

  for (let index = 0; index < options.runners; index++) {
    const slot: Slot = {
      runner: undefined,
      loaded: new Set(),
      inFlight: 0,
      freeAt: 0,
      expectedMs: 0,
      settled: Promise.resolve(),
    };
    slot.settled = fill(slot);
    slots.push(slot);
  }
  try {
    await Promise.all(slots.map(({ settled }) => settled));
  } catch (error) {
    await pool[Symbol.asyncDispose]();
    throw error;
  }
  return pool;
}

/** A runner that loads counts as this many requests. */
const busy = 1_000;

/** Of runners that are as busy as each other, the one that should be done first. */
const isFreeBefore = (slot: Slot, other: Slot) =>
  slot.inFlight < other.inFlight || (slot.inFlight === other.inFlight && slot.freeAt < other.freeAt);

const isUp = (slot: Slot): slot is Slot & { runner: Runner } => slot.runner !== undefined;
