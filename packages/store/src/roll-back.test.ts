import { registry } from '@modelmill/contracts';
import { startNats } from './nats-for-tests.js';
import type { TestNats } from './nats-for-tests.js';
import type { NewLabel } from './labels.js';
import type { Store } from './open-store.js';

let nats: TestNats;
beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats[Symbol.asyncDispose]());

const lineage = registry.Lineage.fromPartial({ method: 'trained' });
const signature = { inputs: [], outputs: [] };
const targets = [
  { version: '1', weight: 90 },
  { version: '2', weight: 10 },
];
const bounds = { version: '', maxErrorShare: 0.05, afterRequests: 0, setAt: undefined };
const canary = (rollBack: Partial<registry.RollBackRule> = {}, more: Partial<NewLabel> = {}): NewLabel => ({
  name: 'stable',
  targets,
  rollBack: { ...bounds, ...rollBack },
  ...more,
});

async function twoVersions({ registry: models }: Store, model: string): Promise<void> {
  for (const number of ['1', '2']) {
    const artifact = { sha256: 'a'.repeat(64), size: 1 };
    await models.registerVersion({ model, artifact, signature, lineage, metrics: {} });
    await models.settleAdmission(model, number, { kind: 'admitted' });
  }
}

const ruleOf = ({ labels }: registry.Model) => labels[0]!.rollBack!;
const decision = (model: string, rule: registry.RollBackRule) => ({
  model,
  label: 'stable',
  rule,
  reason: '9 of 20 requests failed',
  data: { failed: 9 },
});

/** The events of this kind about a model, up to now. */
async function told(model: string) {
  const all = (await nats.messages('MILL_EVENTS')) as { subject: string; data: object }[];
  return all.filter(({ subject }) => subject === `mill.event.model.${model}.2.rolled-back`);
}

it('of many replicas that find the same, one moves the label, and one event tells', async () => {
  await using one = await nats.open();
  await using two = await nats.open();
  await twoVersions(one, 'once');
  const rule = ruleOf(await one.registry.setLabel('once', canary()));
  expect(rule).toMatchObject({ version: '2', afterRequests: 200 });
  const tries = [one, two, one, two].map((store) => store.registry.rollBack(decision('once', rule)));
  expect((await Promise.all(tries)).filter((did) => did)).toHaveLength(1);
  const [label] = (await two.registry.model('once')).labels;
  expect(label).toMatchObject({
    targets: [{ version: '1', weight: 1 }],
    rolledBack: { version: '2', reason: '9 of 20 requests failed' },
  });
  expect(label!.rollBack).toBeUndefined();
  expect((await told('once')).map(({ data }) => data)).toEqual([
    expect.objectContaining({ version: '2', label: 'stable', to: '1', reason: '9 of 20 requests failed', failed: 9 }),
  ]);
});

it('a label that a person has set meanwhile stays, also where it was set to the same', async () => {
  await using store = await nats.open();
  await twoVersions(store, 'moved');
  const first = ruleOf(await store.registry.setLabel('moved', canary()));
  const again = ruleOf(await store.registry.setLabel('moved', canary()));
  expect(await store.registry.rollBack(decision('moved', first))).toBe(false);
  const all = { name: 'stable', targets: [{ version: '2', weight: 1 }] };
  const { labels } = await store.registry.setLabel('moved', all);
  expect(labels[0]!.rollBack).toBeUndefined(); // the rule went with the move
  expect(await store.registry.rollBack(decision('moved', again))).toBe(false);
  expect((await store.registry.model('moved')).labels).toEqual(labels);
  expect(await told('moved')).toEqual([]);
});

it('setting a label again forgets that it was rolled back', async () => {
  await using store = await nats.open();
  await twoVersions(store, 'forgets');
  await store.registry.rollBack(decision('forgets', ruleOf(await store.registry.setLabel('forgets', canary()))));
  const { labels } = await store.registry.setLabel('forgets', canary({ version: '1' }));
  expect(labels[0]).toMatchObject({ rollBack: { version: '1' } });
  expect(labels[0]!.rolledBack).toBeUndefined();
});

const even = targets.map(({ version }) => ({ version, weight: 1 }));
it.each([
  [canary({}, { targets: even.slice(0, 1) }), "label 'stable' has 1 target(s), wants 2 to roll back from one of them"],
  [
    canary({ maxErrorShare: undefined }),
    "roll_back of label 'stable' has no bound, wants max_error_share, max_p50_ratio",
  ],
  [canary({ maxErrorShare: 5 }), "roll_back.max_error_share of label 'stable' is 5, wants a share from 0 to below 1"],
  [canary({ maxErrorShare: NaN }), "roll_back.max_error_share of label 'stable' is NaN"],
  [canary({ maxP50Ratio: 0.5 }), "roll_back.max_p50_ratio of label 'stable' is 0.5, wants a number from 1 to 1000"],
  [canary({ maxP99Ratio: Infinity }), "roll_back.max_p99_ratio of label 'stable' is Infinity, wants a number from 1"],
  [canary({ afterRequests: 5 }), "roll_back.after_requests of label 'stable' is 5, wants a whole number from 20 to"],
  [canary({ version: '3' }), "roll_back.version of label 'stable' is '3', wants '1' or '2'"],
  [canary({}, { targets: even }), "label 'stable' gives both targets weight 1, wants roll_back.version to say which"],
])('refuses the rule of %j', async (label, message) => {
  await using store = await nats.open();
  await expect(store.registry.setLabel('any', label)).rejects.toThrow(message);
});
