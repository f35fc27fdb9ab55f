import { parseTrainingSpec } from '@modelmill/client';
import { uploadDigits } from './digits.js';
import { listen, succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';

jest.setTimeout(180_000);

it('a trained network loses half of its multiply-adds by a job over REST, and answers as well', async () => {
  await using mesh = await startMesh();
  await using events = await listen(mesh.natsUrl);
  const { mill } = mesh;
  await uploadDigits(mill);
  const conv = { kernel: [3, 3], padding: 'same', activation: 'relu' };
  const training = await mill.trainer.submit(
    parseTrainingSpec({
      model: 'digits',
      data: { dataset: 'digits', normalize: 'minmax' },
      layers: [
        { reshape: { shape: [1, 8, 8] } },
        { conv2d: { filters: 16, ...conv } },
        { batch_norm: {} },
        { conv2d: { filters: 24, ...conv } },
        { max_pool2d: { kernel: [2, 2] } },
        { flatten: {} },
        { dense: { units: 32, activation: 'relu' } },
        { dense: { units: 10 } },
      ],
      epochs: 6,
      seed: 1,
    }),
  );
  await succeeded(mill.trainer.watch(training.status!.jobId));
  await events.heard(/\.admitted$/);

  const response = await mesh.fetch('/mill/v1/optimization-jobs', {
    method: 'POST',
    body: JSON.stringify({
      spec: {
        model: 'digits',
        version: '1',
        data: { dataset: 'digits' },
        passes: [{ prune_structured: { multiply_adds: 0.5, round_to: 2, finetune_epochs: 12 } }],
        max_accuracy_drop: 0.02,
      },
    }),
  });
  const body = (await response.json()) as { job: { status: { job_id: string } } };
  const { version, metrics } = await succeeded(mill.optimizer.watch(body.job.status.job_id));
  expect(version).toBe('2');
  const [dense, cut] = await Promise.all(['1', '2'].map((one) => mill.optimizer.analyze('digits', one)));
  const total = (layers: readonly { multiplyAdds: bigint }[]) =>
    layers.reduce((all, one) => all + Number(one.multiplyAdds), 0);
  expect(total(cut!.layers)).toBeLessThanOrEqual(total(dense!.layers) / 2);
  expect(metrics['accuracy']).toBeGreaterThan(0.9);
  await events.heard(/model\.digits\.2\.admitted$/);
});
