import { parseOptimizationSpec } from '@modelmill/client';
import { firstDigit, smallSpec, uploadDigits } from './digits.js';
import { listen, succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';

jest.setTimeout(180_000);

it('data in, a trained, shrunk and served model out, and the same answer through every door', async () => {
  await using mesh = await startMesh();
  await using events = await listen(mesh.natsUrl);
  const { mill } = mesh;

  const dataset = await uploadDigits(mill);
  expect(dataset).toMatchObject({ dataset: 'digits', version: '1', rows: 1797n });

  const steps: bigint[] = [];
  const training = await mill.trainer.submit(smallSpec({ epochs: 30 }));
  const trained = await succeeded(mill.trainer.watch(training.status!.jobId), ({ progress }) => {
    if (progress) steps.push(progress.step);
  });
  expect(trained).toMatchObject({ version: '1' });
  expect(trained.metrics['accuracy']).toBeGreaterThan(0.9);
  expect(steps).toEqual([...steps].sort((a, b) => Number(a - b)));
  await events.heard(/model\.digits\.1\.admitted$/);

  const optimization = await mill.optimizer.submit(
    parseOptimizationSpec({
      model: 'digits',
      version: '1',
      data: { dataset: 'digits' },
      passes: [{ store_bytes: {} }],
    }),
  );
  const smaller = await succeeded(mill.optimizer.watch(optimization.status!.jobId));
  expect(smaller).toMatchObject({ version: '2' });
  await events.heard(/model\.digits\.2\.admitted$/);
  const { markdown } = await mill.registry.getReport('digits', '2');
  expect(markdown).toContain('accuracy');

  const promotion = await mill.registry.promoteVersion('digits', 'stable', {
    baseline: '1',
    maxAccuracyDrop: 0.05,
    minimize: 'size_bytes',
    metric: 'accuracy',
  });
  expect(promotion.version).toBe('2');
  await events.heard(/model\.digits\.2\.ready$/);

  const pixels = firstDigit();
  const request = { inputs: [{ name: 'input', datatype: 'FP32' as const, shape: [1, 64], data: pixels }] };
  const grpc = await mill.inference.infer({ model: 'digits', ...request });
  expect(grpc.version).toBe('2');
  const v2 = (await (
    await mesh.fetch('/v2/models/digits/infer', { method: 'POST', body: JSON.stringify(request) })
  ).json()) as { outputs: { data: number[] }[] };
  const v1 = (await (
    await mesh.fetch('/v1/models/digits:predict', { method: 'POST', body: JSON.stringify({ instances: [pixels] }) })
  ).json()) as { predictions: number[][] };

  const answer = Array.from(grpc.outputs[0]!.data as Float32Array);
  expect(answer).toHaveLength(10);
  expect(answer.indexOf(Math.max(...answer))).toBe(0);
  expect(v2.outputs[0]!.data.map(Math.fround)).toEqual(answer);
  expect(v1.predictions[0]!.map(Math.fround)).toEqual(answer);
});
