import { settled, startNats } from './nats-for-tests.js';
import type { TestNats } from './nats-for-tests.js';
import type { NewDatasetVersion } from './datasets.js';

let nats: TestNats;
beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats[Symbol.asyncDispose]());

const uploaded = (dataset: string): NewDatasetVersion => ({
  dataset,
  artifactSha256: 'a'.repeat(64),
  sizeBytes: 57_000n,
  rows: 1797n,
  format: { $case: 'csv', csv: { header: true, target: 'digit', columns: undefined } },
  schema: { featureShape: [64n], featureNames: ['a', 'b'], target: 'digit', classes: ['0', '1'], columns: [] },
  splits: { train: 0.8, validation: 0, test: 0.2, seed: 2n ** 63n },
});

it('keeps dataset versions as they were added, counted up', async () => {
  await using store = await nats.open();
  const first = await store.datasets.add(uploaded('digits'));
  const second = await store.datasets.add(uploaded('digits'));
  expect([first.version, second.version]).toEqual(['1', '2']);
  await using other = await nats.open();
  expect(await other.datasets.version('digits', '1')).toEqual(first);
  expect(await other.datasets.version('digits', '')).toEqual(second);
  expect(await other.datasets.get('digits')).toEqual({ name: 'digits', versions: [first, second] });
  expect((await other.datasets.list()).map(({ name }) => name)).toEqual(['digits']);
  await settled(async () => (await nats.messages('MILL_EVENTS')).length === 2);
});

it('says which dataset or version is missing', async () => {
  await using store = await nats.open();
  await store.datasets.add(uploaded('there'));
  await expect(store.datasets.get('absent')).rejects.toThrow("dataset 'absent' does not exist");
  await expect(store.datasets.version('there', '7')).rejects.toThrow("dataset 'there' has no version '7'");
  await expect(store.datasets.remove('../x')).rejects.toThrow("dataset '../x' does not exist");
  await expect(store.datasets.add(uploaded('a.b'))).rejects.toThrow("dataset is 'a.b', wants a name of");
});

it('removes a dataset and gives its numbers to none', async () => {
  await using store = await nats.open();
  await store.datasets.add(uploaded('gone'));
  await store.datasets.remove('gone');
  await expect(store.datasets.get('gone')).rejects.toThrow("dataset 'gone' does not exist");
  await expect(store.datasets.remove('gone')).rejects.toThrow('does not exist');
  expect((await store.datasets.add(uploaded('gone'))).version).toBe('2');
});
