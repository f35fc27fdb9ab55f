import { settled, startNats } from './nats-for-tests.js';

it('an event whose publisher died before it could tell is told by another, once', async () => {
  await using nats = await startNats();
  await using store = await nats.open();
  await store.jobs.submit('train', Buffer.from('spec'), 'untold');
  await settled(async () => (await nats.messages('MILL_EVENTS')).length === 1);
  const told = { subject: 'job.untold.queued', data: {}, msgId: 'job.untold.queued' };
  const untold = { subject: 'job.untold.started', data: { attempt: 1 }, msgId: 'job.untold.started.1' };
  await nats.rewrite('mill_jobs', 'untold', { outbox: [told, untold] });
  await using _other = await nats.open({ sweepMs: 200 });
  await settled(async () => (await nats.messages('MILL_EVENTS')).length === 2);
  await settled(async () => JSON.stringify(await nats.record('mill_jobs', 'untold')).includes('"outbox":[]'));
  const events = (await nats.messages('MILL_EVENTS')) as { id: string }[];
  expect(events.map(({ id }) => id)).toEqual(['job.untold.queued', 'job.untold.started.1']);
});

it('a label whose mover died after the admission is moved by another', async () => {
  await using nats = await startNats();
  await using store = await nats.open();
  await store.registry.registerVersion({
    model: 'digits',
    artifact: { sha256: 'a'.repeat(64), size: 1 },
    signature: { inputs: [], outputs: [] },
    lineage: { method: 'uploaded', parentVersion: '', jobId: '', dataset: '', datasetVersion: '' },
    metrics: {},
  });
  await store.registry.settleAdmission('digits', '1', { kind: 'admitted' });
  await nats.rewrite('mill_models', 'digits.1', { label: 'stable' });
  await using _other = await nats.open({ sweepMs: 200 });
  await settled(async () => (await store.registry.model('digits')).labels.length === 1);
  expect((await store.registry.version('digits', 'stable')).version).toBe('1');
});
