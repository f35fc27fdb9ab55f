import { smallSpec, uploadDigits } from './digits.js';
import { listen, succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';

jest.setTimeout(180_000);

it('a job, its version and its events survive nats-server being killed and restarted', async () => {
  await using mesh = await startMesh();
  await using events = await listen(mesh.natsUrl);
  await uploadDigits(mesh.mill);
  const { status } = await mesh.mill.trainer.submit(smallSpec({ epochs: 300 }));
  await events.heard(/\.checkpointed$/);
  await mesh.restart('nats');

  const { version } = await succeeded(mesh.mill.trainer.watch(status!.jobId));
  expect(version).toBe('1');
  const [digits] = await mesh.mill.registry.listModels();
  expect(digits!.versions.map((v) => v.version)).toEqual(['1']);

  const kept: string[] = [];
  for await (const event of mesh.mill.events.subscribe({ start: { $case: 'afterSequence', afterSequence: 0n } })) {
    kept.push(event.subject);
    if (event.type === 'admitted') break;
  }
  expect(kept.filter((subject) => subject.endsWith('.registered'))).toHaveLength(2); // the dataset and the version
  expect(kept.filter((subject) => subject === `mill.event.job.${status!.jobId}.succeeded`)).toHaveLength(1);
});
