import { registry as contract } from '@modelmill/contracts';
import type { registry } from '@modelmill/contracts';
import { createRepository } from './repository.js';
import type { ServedVersion } from './served-version.js';
import { createTrafficSplit } from './traffic-split.js';

const { VERSION_STATE_ADMITTED: admitted, VERSION_STATE_REGISTERED: registered } = contract.VersionState;

/** `labels`: name → version or [version, weight] pairs; `versions`: numbers, those below 0 not admitted yet. */
function model(versions: number[], labels: Record<string, number | [number, number][]> = {}): registry.Model {
  return {
    name: 'm',
    labels: Object.entries(labels).map(([name, to]) =>
      contract.Label.fromPartial({
        name,
        targets: (typeof to === 'number' ? [[to, 1] as const] : to).map(([version, weight]) => ({
          version: String(version),
          weight,
        })),
      }),
    ),
    versions: versions.map((version) =>
      contract.Version.fromPartial({
        model: 'm',
        version: String(Math.abs(version)),
        state: version < 0 ? registered : admitted,
      }),
    ),
  };
}

/** A repository whose loads end when the test says so. */
function heldRepository(retryMs = 1e9) {
  const journal: string[] = [];
  const loads = new Map<string, { done: () => void; fail: (reason: string) => void }>();
  let lose = (_reason: string) => {};
  const repository = createRepository({
    retryMs,
    onEvent: (event) => {
      const version = event.kind === 'ready' ? event.served.version : event.version;
      journal.push(`${event.kind} ${version}${event.kind === 'failed' ? `: ${event.reason}` : ''}`);
    },
    load: ({ version }, onLost) =>
      new Promise((resolve, reject) => {
        lose = onLost;
        const served = {
          model: 'm',
          version,
          memoryBytes: 1,
          bringIn: () => Promise.resolve(),
          unload: async () => void journal.push(`drained ${version}`),
        };
        loads.set(version, {
          done: () => resolve(served as ServedVersion),
          fail: (reason) => reject(new Error(reason)),
        });
      }),
  });
  const found = (version = '') => repository.find('m', version).version;
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  const done = async (version: number) => {
    loads.get(String(version))!.done();
    await settle();
  };
  return { repository, journal, loads, found, settle, done, lose: (reason: string) => lose(reason) };
}

describe('a repository', () => {
  it('loads what labels point at, and nothing else', async () => {
    const { repository, loads, done, found } = heldRepository();
    repository.follow([model([1, 2, 3], { stable: 2 })]);
    expect([...loads.keys()]).toEqual(['2']);
    expect(() => found()).toThrow("Request for unknown model: 'm' version 2 is not at ready state");
    await done(2);
    expect([found(), found('2'), found('stable')]).toEqual(['2', '2', '2']);
    expect(() => found('1')).toThrow("Request for unknown model: 'm' version 1 is not at ready state");
    expect(() => found('9')).toThrow("Request for unknown model: 'm' version 9 is not found");
    expect(() => repository.find('other', '')).toThrow("Request for unknown model: 'other' is not found");
  });

  it('answers from the old version until the new one is ready, then drops the old', async () => {
    const { repository, done, found, journal } = heldRepository();
    repository.follow([model([1, 2], { stable: 1 })]);
    await done(1);
    repository.follow([model([1, 2], { stable: 2 })]);
    expect(found()).toBe('1');
    await done(2);
    expect(found()).toBe('2');
    await repository.settled();
    expect(journal).toEqual(['ready 1', 'ready 2', 'drained 1', 'unloaded 1']);
  });

  it('keeps the old version where the new one cannot be loaded, and tells why', async () => {
    const { repository, done, found, journal, loads, settle } = heldRepository();
    repository.follow([model([1, 2], { stable: 1 })]);
    await done(1);
    repository.follow([model([1, 2], { stable: 2 })]);
    loads.get('2')!.fail('a flipped bit');
    await settle();
    expect(found()).toBe('1');
    expect(journal).toEqual(['ready 1', 'failed 2: a flipped bit']);
    expect(repository.index()).toEqual([
      { name: 'm', version: '1', state: 'READY', reason: '' },
      { name: 'm', version: '2', state: 'UNAVAILABLE', reason: 'a flipped bit' },
    ]);
  });

  it('tries a version that failed again', async () => {
    const { repository, loads, settle, done, found } = heldRepository(-1);
    repository.follow([model([1], { stable: 1 })]);
    loads.get('1')!.fail('not yet');
    await settle();
    repository.follow([model([1], { stable: 1 })]);
    await done(1);
    expect(found()).toBe('1');
  });

  it('loads a version again that its runners gave up', async () => {
    const { repository, done, found, lose, journal } = heldRepository(-1);
    repository.follow([model([1], { stable: 1 })]);
    await done(1);
    lose('it crashed');
    expect(() => found()).toThrow("'m' has no available versions");
    repository.follow([model([1], { stable: 1 })]);
    await done(1);
    expect(found()).toBe('1');
    expect(journal).toEqual(['ready 1', 'failed 1: it crashed', 'ready 1']);
  });

  it('waits for admission', async () => {
    const { repository, loads } = heldRepository();
    repository.follow([model([-1], { stable: 1 })]);
    expect(loads.size).toBe(0);
    repository.follow([model([1], { stable: 1 })]);
    expect(loads.size).toBe(1);
  });

  it('shares a label between its targets by weight', async () => {
    const { repository, done, found } = heldRepository();
    repository.follow([model([1, 2], { stable: [[1, 3], [2, 1]] })]); // prettier-ignore
    await done(1);
    await done(2);
    const answers = Array.from({ length: 8 }, () => found('stable'));
    expect(answers.filter((version) => version === '2')).toHaveLength(2);
  });

  it('without a label stable chooses the highest loaded version', async () => {
    const { repository, done, found } = heldRepository();
    repository.follow([model([2, 10], { old: 2, canary: 10 })]);
    await done(10);
    await done(2);
    expect(found()).toBe('10');
    expect(found('old')).toBe('2');
  });

  it('loads every admitted version when told to, and unloads them until a label moves', async () => {
    const { repository, done, found, loads } = heldRepository();
    repository.follow([model([1, 2, -3], { stable: 1 })]);
    await done(1);
    const loading = repository.load('m');
    await done(2);
    await loading;
    expect([...loads.keys()]).toEqual(['1', '2']);
    await repository.unload('m');
    expect(() => found()).toThrow("'m' has no available versions");
    expect(repository.findLoaded('m', '')).toBeUndefined();
    repository.follow([model([1, 2], { stable: 1 })]);
    expect(repository.loaded()).toEqual([]);
    repository.follow([model([1, 2], { stable: 2 })]);
    await done(2);
    expect(found()).toBe('2');
  });

  it('says why a load it was told to make failed', async () => {
    const { repository, loads } = heldRepository();
    await expect(repository.load('m')).rejects.toThrow("failed to load 'm', failed to poll from model repository");
    repository.follow([model([1])]);
    const loading = repository.load('m');
    loads.get('1')!.fail('a flipped bit');
    await expect(loading).rejects.toThrow("failed to load 'm', a flipped bit");
  });

  it('forgets a model that was deleted', async () => {
    const { repository, done, journal } = heldRepository();
    repository.follow([model([1], { stable: 1 })]);
    await done(1);
    repository.follow([]);
    await repository.settled();
    repository.follow([]);
    expect(journal).toEqual(['ready 1', 'drained 1', 'unloaded 1']);
    expect(() => repository.find('m', '')).toThrow("'m' is not found");
  });
});

describe('a traffic split', () => {
  it('is fair in every stretch', () => {
    const split = createTrafficSplit([
      { version: 'a', weight: 5 },
      { version: 'b', weight: 1 },
      { version: 'c', weight: 1 },
    ]);
    expect(Array.from({ length: 7 }, () => split.next()).join('')).toBe('aabacaa');
  });
});
