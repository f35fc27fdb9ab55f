import { createModelMemory } from './model-memory.js';
import type { ModelMemory, Tenant } from './model-memory.js';

const restMs = 40;
const settle = () => new Promise((resolve) => setImmediate(resolve));
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A memory for so many bytes with tenants whose requests begin and end as the test says. */
function sharedMemory(budgetBytes: number, loadsAtOnce = 2) {
  const memory = createModelMemory({ budgetBytes, loadsAtOnce, restMs });
  const journal: string[] = [];
  return { memory, journal, tenant: (name: string, bytes: number) => tenantOf(memory, journal, name, bytes) };
}

function tenantOf(memory: ModelMemory, journal: string[], name: string, bytes: number) {
  let inUse = 0;
  let lastUsed = 0;
  let onIdle = () => {};
  const tenant: Tenant = {
    bytes,
    inUse: () => inUse,
    lastUsed: () => lastUsed,
    isWanted: () => true,
    async leave() {
      memory.leaving(tenant);
      while (inUse > 0) await new Promise<void>((resolve) => (onIdle = resolve));
      journal.push(`${name} left`);
      memory.left(tenant);
    },
  };
  return {
    tenant,
    enter: (load = async () => {}) =>
      memory.enter(tenant, async () => {
        await load();
        lastUsed = performance.now();
        journal.push(`${name} came`);
      }),
    begin: () => void inUse++,
    end() {
      inUse--;
      lastUsed = performance.now();
      onIdle();
      memory.idle();
    },
  };
}

describe('the memory of models', () => {
  it('lets in what fits, and then has the least recently used leave', async () => {
    const { memory, journal, tenant } = sharedMemory(10);
    const [a, b, c] = [tenant('a', 4), tenant('b', 4), tenant('c', 4)];
    await a.enter();
    await b.enter();
    a.begin();
    a.end();
    await pause(restMs);
    await c.enter();
    expect(journal).toEqual(['a came', 'b came', 'b left', 'c came']);
    expect([memory.usedBytes(), memory.counts().evictions]).toEqual([8, 1]);
  });

  it('has none leave that is in use, while another can', async () => {
    const { journal, tenant } = sharedMemory(8);
    const [a, b, c] = [tenant('a', 4), tenant('b', 4), tenant('c', 4)];
    await a.enter();
    await b.enter();
    a.begin();
    await pause(restMs);
    await c.enter();
    expect(journal.slice(2)).toEqual(['b left', 'c came']);
    a.end();
  });

  it('waits until one that was long to load has stayed for as long, and disturbs none that is in use', async () => {
    const { journal, tenant } = sharedMemory(8);
    const [a, b, c] = [tenant('a', 4), tenant('b', 4), tenant('c', 4)];
    await a.enter();
    a.begin();
    const begun = performance.now();
    await b.enter(() => pause(4 * restMs).then(() => {}));
    await c.enter();
    expect(performance.now() - begun).toBeGreaterThan(7 * restMs); // as long again as the load took
    expect(journal.slice(2)).toEqual(['b left', 'c came']);
    a.end();
  });

  it('has one in use take no more, where all are, and waits for its last answer', async () => {
    const { journal, tenant } = sharedMemory(8);
    const [a, b, c] = [tenant('a', 4), tenant('b', 4), tenant('c', 4)];
    await a.enter();
    await b.enter();
    a.begin();
    b.begin();
    const entered = c.enter();
    await pause(4 * restMs);
    expect(journal).toEqual(['a came', 'b came']);
    a.end();
    await entered;
    expect(journal.slice(2)).toEqual(['a left', 'c came']);
    b.end();
  });

  it('lets what was just used stay for a moment', async () => {
    const { tenant } = sharedMemory(4);
    const [a, b] = [tenant('a', 4), tenant('b', 4)];
    const begun = performance.now();
    await a.enter();
    await b.enter();
    expect(performance.now() - begun).toBeGreaterThanOrEqual(restMs);
  });

  it('keeps the order in which they came, and loads no more than so many at a time', async () => {
    const { journal, tenant } = sharedMemory(100, 2);
    let ending: (() => void)[] = [];
    const held = () => new Promise<void>((resolve) => ending.push(resolve));
    const all = ['a', 'b', 'c', 'd'].map((name) => tenant(name, 1).enter(held));
    await settle();
    expect(ending).toHaveLength(2);
    while (ending.length > 0) {
      const now = ending;
      ending = [];
      now.forEach((end) => end());
      await settle();
    }
    await Promise.all(all);
    expect(journal).toEqual(['a came', 'b came', 'c came', 'd came']);
  });

  it('has its room again where a load failed', async () => {
    const { memory, tenant } = sharedMemory(4);
    await expect(tenant('a', 4).enter(() => Promise.reject(new Error('a flipped bit')))).rejects.toThrow('flipped');
    expect(memory.usedBytes()).toBe(0);
    await tenant('b', 4).enter();
    expect(memory.usedBytes()).toBe(4);
  });

  it('counts what waits in line as taken', async () => {
    const { memory, tenant } = sharedMemory(10);
    const [a, b] = [tenant('a', 4), tenant('b', 4)];
    const entering = [a.enter(), b.enter()];
    expect([memory.hasRoom(2, false), memory.hasRoom(4, false)]).toEqual([true, false]);
    await Promise.all(entering);
    await pause(restMs);
    expect([memory.hasRoom(4, true), memory.hasRoom(4, false)]).toEqual([true, false]);
  });
});
