/** A version that takes memory of the budget, or waits for it. */
export interface Tenant {
  /** What it takes, in all runners together. */
  readonly bytes: number;
  /** Requests under way or waiting that somebody waits for. */
  inUse(): number;
  /** In ms of the monotonic clock: when a request last came or ended, or when it was loaded. -Infinity: it leaves first. */
  lastUsed(): number;
  /** Whether anyone still wants it loaded. */
  isWanted(): boolean;
  /** Answers what it has taken, then gives its memory back and says so by `leaving` and `left`. */
  leave(): Promise<void>;
}

/** The memory that loaded versions share, within a budget. */
export interface ModelMemory {
  /** Infinity: no bound. */
  readonly budgetBytes: number;
  usedBytes(): number;
  counts(): MemoryCounts;
  /** Whether there is room now or, where others may be displaced, unloading those that nobody uses would make it. */
  hasRoom(bytes: number, mayDisplace: boolean): boolean;
  /** Waits in line, makes room and loads. Where loading fails the room is free again. */
  enter(tenant: Tenant, load: () => Promise<void>): Promise<void>;
  /** It will not be asked to leave any more. */
  leaving(tenant: Tenant): void;
  left(tenant: Tenant): void;
  /** A tenant has no requests any more. */
  idle(): void;
  /** Somebody had to wait so long until a version was loaded. */
  loadedCold(ms: number): void;
}

/** Since the service began. */
export interface MemoryCounts {
  /** Versions unloaded to make room. */
  readonly evictions: number;
  readonly coldLoads: number;
  /** Waiting, making room and loading, summed. */
  readonly coldLoadMs: number;
}

export interface ModelMemoryOptions {
  readonly budgetBytes: number;
  /** Loads at a time. */
  readonly loadsAtOnce: number;
  /** What was used within this time stays, unless nothing else makes room for one that has waited for as long. */
  readonly restMs: number;
}

/** What took long to load stays for as long, up to this: so loading takes about half of the time at most. */
const longestRestMs = 5_000;
const lookMs = 25;

export function createModelMemory({ budgetBytes, loadsAtOnce, restMs }: ModelMemoryOptions): ModelMemory {
  /** Who may be asked to leave. */
  const present = new Map<Tenant, { readonly since: number; readonly restMs: number }>();
  const turns: (() => void)[] = [];
  let loading = 0;
  let usedBytes = 0;
  let lineBytes = 0;
  let lastRoom = Promise.resolve();
  let wake = () => {};
  const counted = { evictions: 0, coldLoads: 0, coldLoadMs: 0 };

  /**
   * The least recently used one without requests. Where all have some, one that has waited may have the one leave that was
   * there for longest: else requests without a gap would keep all others out.
   */
  function nextToLeave(waitedMs: number): Tenant | undefined {
    const now = performance.now();
    const byUse = [...present].sort(([a], [b]) => a.lastUsed() - b.lastUsed());
    const idle = byUse.filter(([tenant]) => tenant.inUse() === 0);
    const rested = idle.find(([tenant, { restMs: rest }]) => now - tenant.lastUsed() >= rest);
    if (rested !== undefined || waitedMs < restMs) return rested?.[0];
    const stayed = (idle.length > 0 ? idle : byUse).filter(([, { since, restMs: rest }]) => now - since >= rest);
    if (idle.length > 0) return stayed[0]?.[0];
    return stayed.sort(([, a], [, b]) => a.since - b.since)[0]?.[0];
  }

  /** For one at a time, in the order they came. */
  async function makeRoom(tenant: Tenant, since: number): Promise<void> {
    while (usedBytes + tenant.bytes > budgetBytes) {
      if (!tenant.isWanted()) throw new Error('nobody waits for it any more');
      const leaver = nextToLeave(performance.now() - since);
      if (leaver === undefined) await somethingHappens();
      else {
        counted.evictions++;
        await leaver.leave();
      }
    }
    usedBytes += tenant.bytes;
  }

  async function somethingHappens(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      wake = resolve;
      timer = setTimeout(resolve, lookMs);
    });
    clearTimeout(timer);
  }

  async function turn(): Promise<void> {
    if (loading >= loadsAtOnce) await new Promise<void>((resolve) => turns.push(resolve));
    else loading++;
  }

  function endTurn() {
    const next = turns.shift();
    if (next === undefined) loading--;
    else next();
  }

  function left(tenant: Tenant) {
    present.delete(tenant);
    usedBytes -= tenant.bytes;
    wake();
  }

  return {
    budgetBytes,
    usedBytes: () => usedBytes,
    counts: () => ({ ...counted }),
    hasRoom(bytes, mayDisplace) {
      const now = performance.now();
      const canGo = ([tenant, { restMs: rest }]: [Tenant, { restMs: number }]) =>
        mayDisplace && tenant.inUse() === 0 && now - tenant.lastUsed() >= rest;
      const displaced = [...present].filter(canGo).reduce((sum, [tenant]) => sum + tenant.bytes, 0);
      return usedBytes + lineBytes + bytes <= budgetBytes + displaced;
    },
    async enter(tenant, load) {
      const since = performance.now();
      lineBytes += tenant.bytes;
      await turn();
      try {
        const room = lastRoom.then(() => makeRoom(tenant, since)).finally(() => (lineBytes -= tenant.bytes));
        lastRoom = room.catch(() => {}); // whoever waits for it is told
        await room;
        const begun = performance.now();
        try {
          await load();
        } catch (error) {
          left(tenant);
          throw error;
        }
        const now = performance.now();
        present.set(tenant, { since: now, restMs: Math.min(Math.max(restMs, now - begun), longestRestMs) });
        wake();
      } finally {
        endTurn();
      }
    },
    leaving: (tenant) => void present.delete(tenant),
    left,
    idle: () => wake(),
    loadedCold(ms) {
      counted.coldLoads++;
      counted.coldLoadMs += ms;
    },
  };
}
