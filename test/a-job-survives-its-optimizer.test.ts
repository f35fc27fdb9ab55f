import { parseOptimizationSpec } from '@modelmill/client';
import { smallSpec, uploadDigits } from './digits.js';
import { listen, succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';

jest.setTimeout(180_000);

it('an optimization job survives its optimizer being killed: one fine-tuning, one version', async () => {
  await using mesh = await startMesh();
  await using events = await listen(mesh.natsUrl);
  await uploadDigits(mesh.mill);
  const training = await mesh.mill.trainer.submit(smallSpec());
  const { version } = await succeeded(mesh.mill.trainer.watch(training.status!.jobId));
  await events.heard(/\.admitted$/);

  const spec = parseOptimizationSpec({
    model: 'digits',
    version,
    data: { dataset: 'digits' },
    passes: [{ prune_magnitude: { sparsity: 0.5, finetune_epochs: 60 } }],
    max_accuracy_drop: 0.2,
  });
  const { status } = await mesh.mill.optimizer.submit(spec);
  // its fine-tuning is under way on the trainer
  await events.heard(new RegExp(`job\\.${status!.jobId}-pass0\\.(progress|checkpointed|started)$`));
  await mesh.restart('optimizer');

  const result = await succeeded(mesh.mill.optimizer.watch(status!.jobId));
  expect(result.version).toBe('2');
  const [digits] = await mesh.mill.registry.listModels();
  expect(digits!.versions.map((v) => v.version)).toEqual(['1', '2']);
  expect(digits!.versions[1]!.lineage).toMatchObject({ parentVersion: '1', jobId: status!.jobId });
  const trainings = await mesh.mill.trainer.list();
  expect(trainings.map((job) => job.status!.jobId).sort()).toEqual(
    [training.status!.jobId, `${status!.jobId}-pass0`].sort(),
  );
});
