import { registry } from '@modelmill/contracts';
import { emptyGraph, floatTensor, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Store } from '@modelmill/store';
import { createRepository } from './repository.js';
import type { ServedVersion } from './served-version.js';
import { event, point, register, startServing } from './start-for-tests.js';
import type { Serving } from './start-for-tests.js';
import { memoryBytesOf } from './version-description.js';

jest.setTimeout(120_000);

const targets = (version: string) => [{ version, weight: 1 }];
const shadow = (version: string) => registry.Shadow.fromPartial({ version, share: 1 });

/** A model of versions 1 to 3 whose label points at one and has another one's shadow. */
const model = (name: string, target: string, shadowed?: string): registry.Model => {
  const label = { name: 'stable', targets: targets(target) };
  return registry.Model.fromPartial({
    name,
    labels: [shadowed === undefined ? label : { ...label, shadow: shadow(shadowed) }],
    versions: ['1', '2', '3'].map((version) => ({
      model: name,
      version,
      state: registry.VersionState.VERSION_STATE_ADMITTED,
    })),
  });
};

/** A repository whose loads end when the test says so. */
function heldRepository() {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const repository = createRepository({
    retryMs: 1e9,
    onEvent: () => {},
    load({ model, version }, _, aside) {
      begun.push(`${model}/${version}${aside() ? ' aside' : ''}`);
      const served = { model, version, memoryBytes: 1, unload: () => Promise.resolve() };
      return new Promise((resolve) => ends.set(`${model}/${version}`, () => resolve(served as ServedVersion)));
    },
  });
  const end = async (id: string) => {
    ends.get(id)!();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const states = (name: string) =>
    repository.index().flatMap((of) => (of.name === name ? [`${of.version} ${of.state}`] : []));
  return { repository, begun, end, states };
}

describe('versions that are only shadows', () => {
  it('are loaded when every target is, one at a time, and nobody waits for them', async () => {
    const { repository, begun, end, states } = heldRepository();
    let settled = false;
    repository.follow([model('a', '2', '1'), model('b', '2', '1'), model('c', '1')]);
    void repository.settled().then(() => (settled = true));
    expect(begun).toEqual(['a/2', 'b/2', 'c/1']);
    expect(states('a')).toEqual(['1 LOADING', '2 LOADING', '3 UNAVAILABLE']);
    await end('a/2');
    await end('c/1');
    expect([begun.length, settled]).toEqual([3, false]);
    await end('b/2');
    expect(settled).toBe(true);
    expect(begun.slice(3)).toEqual(['a/1 aside']);
    expect(repository.find('a', '').version).toBe('2');
    await end('a/1');
    expect(begun.slice(4)).toEqual(['b/1 aside']);
    await end('b/1');
    expect(states('b')).toEqual(['1 READY', '2 READY', '3 UNAVAILABLE']);
  });

  it('let a target that comes later go before them, also where it was a shadow in its turn', async () => {
    const { repository, begun, end } = heldRepository();
    repository.follow([model('a', '1', '2'), model('b', '1', '2')]);
    await end('a/1');
    await end('b/1');
    expect(begun.slice(2)).toEqual(['a/2 aside']);
    repository.follow([model('a', '1', '2'), model('b', '2', '3')]);
    expect(begun.slice(3)).toEqual(['b/2']);
    await end('a/2');
    expect(begun.slice(4)).toEqual([]);
    await end('b/2');
    expect(begun.slice(4)).toEqual(['b/3 aside']);
  });
});

/** y [n, 4] is x [n, 4] · w · v, with 2 MB of numbers. */
function linear(): Uint8Array {
  const graph = emptyGraph('linear');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: ['n', 4] }];
  graph.outputs = [{ name: 'y', dataType: 'float', shape: ['n', 4] }];
  graph.initializers.set('w', floatTensor('w', [4, 2 ** 16], new Float32Array(2 ** 18)));
  graph.initializers.set('v', floatTensor('v', [2 ** 16, 4], new Float32Array(2 ** 18)));
  graph.nodes = [makeNode('MatMul', ['x', 'w'], ['h']), makeNode('MatMul', ['h', 'v'], ['y'])];
  return writeOnnx({
    irVersion: 8,
    opsets: new Map([['', 18]]),
    producer: '',
    metadata: new Map(),
    graph,
    functions: [],
  });
}

const tensor = (name: string) => ({ name, datatype: 'FP32', shape: [-1n, 4n] });
const signature: registry.Signature = { inputs: [tensor('x')], outputs: [tensor('y')] };
const file = linear();
const bytes = memoryBytesOf(registry.Version.fromPartial({ sizeBytes: BigInt(file.byteLength) }), 1);
const memoryFor = (models: number) => ({
  MILL_RUNNERS: '1',
  MILL_MODEL_MEMORY_BYTES: String(models * bytes + 1000),
});

/** Versions of a model, admitted before the service starts. */
async function admitted(store: Store, name: string, versions: number): Promise<void> {
  for (let i = 0; i < versions; i++) {
    const version = await register({ store }, name, file, signature);
    await store.registry.settleAdmission(name, version, { kind: 'admitted' });
  }
}

const evicted = ({ lines }: Serving) =>
  lines.filter((line) => line['event'] === 'model evicted').map((line) => `${line['model']}/${line['version']}`);

it('a replica starts with targets in memory, and shadows where there is room left', async () => {
  await using mesh = await startServing(memoryFor(2), async (store) => {
    await admitted(store, 'other', 1);
    await point({ store }, 'other', '1');
    await admitted(store, 'shadowed', 2); // moved last, so it comes first
    await store.registry.setLabel('shadowed', { name: 'stable', targets: targets('1'), shadow: shadow('2') });
  });
  const { data } = await event(mesh, 'model.shadowed.2.ready');
  expect(data).toMatchObject({ cold: true });
  expect((await event(mesh, 'model.other.1.ready')).data).not.toMatchObject({ cold: true });
  expect((await event(mesh, 'model.shadowed.1.ready')).data).not.toMatchObject({ cold: true });
});

it('a shadow leaves the memory before a target, though that was used longer ago', async () => {
  await using mesh = await startServing(memoryFor(2), async (store) => {
    await admitted(store, 'shadowed', 2);
    await store.registry.setLabel('shadowed', { name: 'stable', targets: targets('1'), shadow: shadow('2') });
    await admitted(store, 'other', 1);
  });
  expect((await event(mesh, 'model.shadowed.2.ready')).data).not.toMatchObject({ cold: true });
  await point(mesh, 'other', '1');
  expect((await event(mesh, 'model.other.1.ready')).data).not.toMatchObject({ cold: true });
  expect(evicted(mesh)).toEqual(['shadowed/2']);
});
