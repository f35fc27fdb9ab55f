import { registry } from '@modelmill/contracts';
import { startNats } from './nats-for-tests.js';
import type { TestNats } from './nats-for-tests.js';
import type { Store } from './open-store.js';

let nats: TestNats;
let store: Store;
beforeAll(async () => {
  nats = await startNats();
  store = await nats.open();
  await withVersions('m', [taking('FP32', [-1n, 4n]), taking('FP32', [-1n, 4n]), taking('FP64', [-1n, 4n])]);
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  await nats[Symbol.asyncDispose]();
});

const taking = (datatype: string, shape: bigint[], name = 'x') => ({
  inputs: [{ name, datatype, shape }],
  outputs: [],
});
const lineage = registry.Lineage.fromPartial({ method: 'trained' });

async function withVersions(model: string, signatures: registry.Signature[]): Promise<void> {
  for (const [index, signature] of signatures.entries()) {
    const artifact = { sha256: 'a'.repeat(64), size: 1 };
    await store.registry.registerVersion({ model, artifact, signature, lineage, metrics: {} });
    await store.registry.settleAdmission(model, String(index + 1), { kind: 'admitted' });
  }
}

const shadowed = (version: string, share = 0, targets = [{ version: '1', weight: 1 }]) => ({
  name: 'stable',
  targets,
  shadow: { version, share, setAt: undefined },
});

it('a shadow has all requests where no share is given, stays through a roll-back, and goes with the next setting', async () => {
  const trial = {
    ...shadowed('3'),
    targets: [
      { version: '1', weight: 9 },
      { version: '2', weight: 1 },
    ],
    rollBack: registry.RollBackRule.fromPartial({ maxErrorShare: 0.1 }),
  };
  await withVersions('rolls', [taking('FP32', [4n]), taking('FP32', [4n]), taking('FP32', [-1n])]);
  const { labels } = await store.registry.setLabel('rolls', trial);
  expect(labels[0]!.shadow).toEqual({ version: '3', share: 1, setAt: expect.any(Date) as Date });
  const rule = labels[0]!.rollBack!;
  await store.registry.rollBack({ model: 'rolls', label: 'stable', rule, reason: 'it failed', data: {} });
  const rolledBack = (await store.registry.model('rolls')).labels[0]!;
  expect(rolledBack).toMatchObject({ targets: [{ version: '1' }], shadow: { version: '3', share: 1 } });
  const again = await store.registry.setLabel('rolls', { name: 'stable', targets: [{ version: '1', weight: 1 }] });
  expect(again.labels[0]!.shadow).toBeUndefined();
});

it('a version that is a shadow is not deleted', async () => {
  await store.registry.setLabel('m', shadowed('2', 0.5));
  await expect(store.registry.deleteVersion('m', '2')).rejects.toThrow(
    "label 'stable' has as its shadow version '2' of model 'm'",
  );
});

it.each([
  [shadowed('1'), "shadow.version of label 'stable' is '1', which answers its requests"],
  [shadowed('2', 1.5), "shadow.share of label 'stable' is 1.5, wants a share above 0 and at most 1"],
  [shadowed('2', -1), "shadow.share of label 'stable' is -1, wants"],
  [shadowed('2', NaN), "shadow.share of label 'stable' is NaN, wants"],
  [shadowed('9'), "model 'm' has no version or label '9'"],
  [shadowed('stable'), "model 'm' has no version or label 'stable'"],
  [shadowed('3'), "its input 'x' is FP64, version '1' takes FP32"],
])('refuses %j', async (label, message) => {
  await expect(store.registry.setLabel('m', label)).rejects.toThrow(message);
});

it.each([
  ['renamed', taking('FP32', [-1n, 4n], 'z'), "it has no input 'x', which version '1' takes"],
  ['narrow', taking('FP32', [8n, 4n]), "its input 'x' has shape [8,4], version '1' takes [-1,4]"],
  ['flat', taking('FP32', [-1n]), "its input 'x' has shape [-1], version '1' takes [-1,4]"],
  [
    'more',
    { inputs: [...taking('FP32', [-1n, 4n]).inputs, ...taking('FP32', [-1n], 'mask').inputs], outputs: [] },
    "it wants an input 'mask', which version '1' has not",
  ],
])('refuses a shadow that takes something else: %s', async (model, signature, message) => {
  await withVersions(model, [taking('FP32', [-1n, 4n]), signature]);
  await expect(store.registry.setLabel(model, shadowed('2'))).rejects.toThrow(
    `version '2' of model '${model}' can not be the shadow of label 'stable': ${message}`,
  );
});
