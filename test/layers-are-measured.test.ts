import { resolve } from 'node:path';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { status } from '@grpc/grpc-js';
import { parseOptimizationSpec, parseTrainingSpec } from '@modelmill/client';
import { uploadDigits } from './digits.js';
import { listen, succeeded } from './jobs.js';
import { apiKey, startMesh } from './start-mesh.js';

jest.setTimeout(240_000);

const root = resolve(__dirname, '..');

it('an analysis measures layers over REST and in the terminal, and its advice is true when it is followed', async () => {
  await using mesh = await startMesh();
  await using events = await listen(mesh.natsUrl);
  const { mill } = mesh;
  await uploadDigits(mill);
  const conv = { kernel: [3, 3], padding: 'same' };
  const training = await mill.trainer.submit(
    parseTrainingSpec({
      model: 'digits',
      data: { dataset: 'digits', normalize: 'minmax' },
      layers: [
        { reshape: { shape: [1, 8, 8] } },
        { conv2d: { filters: 16, ...conv } },
        { batch_norm: {} },
        { activation: { function: 'relu' } },
        { conv2d: { filters: 24, ...conv } },
        { batch_norm: {} },
        { activation: { function: 'relu' } },
        { max_pool2d: { kernel: [2, 2] } },
        { flatten: {} },
        { dense: { units: 48, activation: 'relu' } },
        { dense: { units: 10 } },
      ],
      optimizer: { adam_w: { learning_rate: 0.004 } },
      epochs: 8,
      seed: 1,
    }),
  );
  await succeeded(mill.trainer.watch(training.status!.jobId));
  await events.heard(/\.admitted$/);

  const response = await mesh.fetch(
    '/mill/v1/models/digits/versions/1/analysis?dataset=digits&rows=300&time_budget_seconds=240',
  );
  const rest = (await response.json()) as {
    layers: { op_type: string; float_share: number; forms: { form: string; sqnr_db: number }[] }[];
    forms: { form: string; drop: number; p50_ms: number; size_bytes: string }[];
    basis: { rows: string; metric: string; value: number };
    advice: string[];
  };
  expect(response.status).toBe(200);
  expect(rest.basis).toMatchObject({ rows: '300', metric: 'accuracy' });
  expect(rest.basis.value).toBeGreaterThan(0.95);
  const products = rest.layers.filter(({ op_type }) => /Conv|Gemm|MatMul/.test(op_type));
  expect(products).toHaveLength(4);
  for (const { forms } of products) {
    expect(forms.map(({ form }) => form).sort()).toEqual(['int4', 'int8', 'zeros_50', 'zeros_90']);
  }
  const shares = products.map(({ float_share }) => float_share);
  expect(Math.min(...shares)).toBeGreaterThan(0);
  expect(shares.reduce((sum, one) => sum + one)).toBeLessThan(1);
  expect(rest.advice.join('\n')).toMatch(/Fine-tune with Adam at 0.0004 .*trained with AdamW at 0.004/);

  // what the analysis says of static int8 is what a job finds
  const said = rest.forms.find(({ form }) => form === 'int8')!;
  const { status: job } = await mill.optimizer.submit(
    parseOptimizationSpec({
      model: 'digits',
      version: '1',
      data: { dataset: 'digits' },
      passes: [{ quantize_static: { calibration_samples: 300 } }],
    }),
  );
  const { metrics } = await succeeded(mill.optimizer.watch(job!.jobId));
  expect(Number(said.size_bytes) / metrics['size_bytes']!).toBeCloseTo(1, 1);

  const { stdout } = await promisify(execFile)(
    resolve(root, 'mill'),
    [
      'models',
      'analyze',
      'digits',
      '1',
      '--dataset',
      'digits',
      '--rows',
      '300',
      '--address',
      mesh.grpc,
      '--key',
      apiKey,
    ],
    { cwd: root },
  );
  expect(stdout).toMatch(/node +time +float ms +int8 ms +int8 alone/);
  expect(stdout).toMatch(/all layers +accuracy +SQNR +p50 ms +size\nas it is/);

  await expect(mill.optimizer.analyze('digits', '1', { dataset: 'nothing' })).rejects.toMatchObject({
    code: status.NOT_FOUND,
  });
  await expect(mill.optimizer.analyze('digits', '2', { dataset: 'digits' })).rejects.toMatchObject({
    code: status.INVALID_ARGUMENT,
    message: "version '2' of model 'digits' is already quantized: start from its parent",
  });
});
