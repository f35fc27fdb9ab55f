import { smallSpec, uploadDigits } from './digits.js';
import { listen, succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';

jest.setTimeout(120_000);

it('a training job survives its trainer being killed: it goes on from its checkpoint and ends once, with one version', async () => {
  await using mesh = await startMesh();
  await using events = await listen(mesh.natsUrl);
  await uploadDigits(mesh.mill);
  const { status } = await mesh.mill.trainer.submit(smallSpec({ epochs: 400 }));
  await events.heard(/^mill\.event\.job\..*\.checkpointed$/);
  await mesh.restart('trainer');

  const { version } = await succeeded(mesh.mill.trainer.watch(status!.jobId));
  expect(version).toBe('1');
  const [digits] = await mesh.mill.registry.listModels();
  expect(digits!.versions.map((v) => [v.version, v.lineage?.jobId])).toEqual([['1', status!.jobId]]);
  const job = await mesh.mill.trainer.get(status!.jobId);
  expect(job.progress!.step).toBe(job.progress!.steps);
  await events.heard(/\.succeeded$/);
  expect(events.seen.filter(({ subject }) => /model\..*\.registered$/.test(subject))).toHaveLength(1);
  expect(events.seen.filter(({ subject }) => subject.endsWith('.succeeded'))).toHaveLength(1);
});
