import { registry } from '@modelmill/contracts';
import { settled, startNats } from './nats-for-tests.js';
import type { TestNats } from './nats-for-tests.js';
import type { NewVersion } from './registry.js';

let nats: TestNats;
beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats[Symbol.asyncDispose]());

const signature: registry.Signature = {
  inputs: [{ name: 'input', datatype: 'FP32', shape: [-1n, 64n] }],
  outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [-1n, 10n] }],
};
const lineage = { method: 'trained', parentVersion: '', jobId: '', dataset: 'digits', datasetVersion: '1' };
const { VERSION_STATE_ADMITTED, VERSION_STATE_REGISTERED, VERSION_STATE_REJECTED } = registry.VersionState;

const made = (model: string, more: Partial<NewVersion> = {}): NewVersion => ({
  model,
  artifact: { sha256: 'a'.repeat(64), size: 1234 },
  signature,
  lineage,
  metrics: { accuracy: 0.99 },
  ...more,
});

/** What was told about a model, in order, up to now. */
async function told(model: string): Promise<string[]> {
  const all = (await nats.messages('MILL_EVENTS')) as { subject: string }[];
  return all
    .map(({ subject }) => subject.replace('mill.event.model.', ''))
    .filter((subject) => subject.startsWith(`${model}.`));
}

it('keeps a version as it was registered, signature and figures included', async () => {
  await using store = await nats.open();
  const version = await store.registry.registerVersion(made('kept', { reportSha256: 'b'.repeat(64) }));
  expect(version).toMatchObject({ version: '1', state: VERSION_STATE_REGISTERED, sizeBytes: 1234n, signature });
  await using other = await nats.open();
  expect(await other.registry.version('kept', '1')).toEqual(version);
  expect(await other.registry.model('kept')).toEqual({ name: 'kept', labels: [], versions: [version] });
  expect(await other.registry.updateMetrics('kept', '1', { p50_ms: 0.2 })).toMatchObject({
    metrics: { accuracy: 0.99, p50_ms: 0.2 },
  });
});

it('a job registers one version, however often and from wherever it tries', async () => {
  await using one = await nats.open();
  await using two = await nats.open();
  const tries = [one, two, one, two].map((store) => store.registry.registerVersion(made('once', { jobId: 'job-1' })));
  const versions = await Promise.all(tries);
  expect(versions.map(({ version }) => version)).toEqual(['1', '1', '1', '1']);
  expect((await one.registry.model('once')).versions).toHaveLength(1);
  expect(await told('once')).toEqual(['once.1.registered']);
});

it('gives every upload a number of its own under contention', async () => {
  await using one = await nats.open();
  await using two = await nats.open();
  const uploads = Array.from({ length: 10 }, (_, at) => (at % 2 ? one : two).registry.registerVersion(made('busy')));
  const numbers = (await Promise.all(uploads)).map(({ version }) => Number(version)).sort((a, b) => a - b);
  expect(numbers).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

it('a registration that began before NATS was killed ends after it, once', async () => {
  await using store = await nats.open();
  await store.registry.registerVersion(made('through'));
  await nats.kill();
  const registering = store.registry.registerVersion(made('through', { jobId: 'job-2' }));
  await nats.start();
  expect((await registering).version).toBe('2');
  await settled(async () => (await told('through')).length === 2);
  expect((await store.registry.model('through')).versions).toHaveLength(2);
});

it('decides on a version once', async () => {
  await using store = await nats.open();
  await store.registry.registerVersion(made('decided'));
  const first = await store.registry.settleAdmission('decided', '1', { kind: 'rejected', reason: 'it hangs' });
  expect(first).toMatchObject({ state: VERSION_STATE_REJECTED, rejectionReason: 'it hangs' });
  const again = await store.registry.settleAdmission('decided', '1', { kind: 'admitted' });
  expect(again.state).toBe(VERSION_STATE_REJECTED);
  expect(await told('decided')).toEqual(['decided.1.registered', 'decided.1.rejected']);
});

it('labels admitted versions only, and keeps what they point at', async () => {
  await using store = await nats.open();
  const { registry: models } = store;
  await models.registerVersion(made('labelled'));
  await models.registerVersion(made('labelled'));
  const label = { name: 'stable', targets: [{ version: '1', weight: 1 }] };
  await expect(models.setLabel('labelled', label)).rejects.toThrow("version '1' of model 'labelled' is not admitted");
  await models.settleAdmission('labelled', '1', { kind: 'admitted' });
  expect((await models.setLabel('labelled', label)).labels).toEqual([label]);
  expect(await models.version('labelled', 'stable')).toMatchObject({ version: '1', state: VERSION_STATE_ADMITTED });
  await expect(models.deleteVersion('labelled', '1')).rejects.toThrow("label 'stable' points at version '1'");
  await expect(models.setLabel('labelled', { name: 'x', targets: [] })).rejects.toThrow("label 'x' has no targets");
  const weightless = { name: 'x', targets: [{ version: '1', weight: 0 }] };
  await expect(models.setLabel('labelled', weightless)).rejects.toThrow('weight 0, wants at least 1');
  await models.deleteLabel('labelled', 'stable');
  await models.deleteVersion('labelled', '1');
  expect((await models.model('labelled')).versions.map(({ version }) => version)).toEqual(['2']);
  expect((await models.registerVersion(made('labelled'))).version).toBe('3');
});

it('moves the label that waits for a version when it is admitted', async () => {
  await using store = await nats.open();
  await store.registry.registerVersion(made('waiting', { label: 'stable' }));
  await store.registry.settleAdmission('waiting', '1', { kind: 'admitted' });
  expect((await store.registry.model('waiting')).labels).toEqual([
    { name: 'stable', targets: [{ version: '1', weight: 1 }] },
  ]);
});

it('never gives a number twice, not even to a model that was deleted', async () => {
  await using store = await nats.open();
  await store.registry.registerVersion(made('again'));
  await store.registry.deleteModel('again');
  await expect(store.registry.model('again')).rejects.toThrow("model 'again' is not registered");
  expect((await store.registry.models()).map(({ name }) => name)).not.toContain('again');
  expect((await store.registry.registerVersion(made('again'))).version).toBe('2');
  expect((await store.registry.model('again')).versions).toHaveLength(1);
});

it('tells who watches of a change made elsewhere, also after NATS was killed', async () => {
  await using store = await nats.open();
  await using other = await nats.open();
  let seen: number | undefined;
  const look = () => store.registry.model('watched').then(({ versions }) => (seen = versions.length));
  await using _watch = store.registry.watch(() => void look().catch(() => (seen = 0)));
  await settled(async () => seen === 0);
  await other.registry.registerVersion(made('watched'));
  await settled(async () => seen === 1);
  await nats.kill();
  await nats.start();
  await other.registry.registerVersion(made('watched'));
  await settled(async () => seen === 2);
});

it.each(['', '../x', 'a.b', '-a', 'a b', '*', '>', 'é', 'x'.repeat(64), 'x'.repeat(5_000)])(
  'refuses the model name %j',
  async (name) => {
    await using store = await nats.open();
    await expect(store.registry.registerVersion(made(name))).rejects.toThrow('model is ');
    await expect(store.registry.model(name)).rejects.toThrow('is not registered');
    await expect(store.registry.version(name, '1')).rejects.toThrow('is not registered');
  },
);

it.each(['', '0', '01', '-1', '2', 'nope', '*', '>', '1.2'])('has no version %j', async (number) => {
  await using store = await nats.open();
  await expect(store.registry.version('kept', number)).rejects.toThrow(
    `model 'kept' has no version or label '${number}'`,
  );
  await expect(store.registry.deleteVersion('kept', number)).rejects.toThrow('has no version or label');
});
