import { dense, orderOf, removeFolders, run } from './training-for-tests.js';
import type { Spec } from './training-for-tests.js';

afterAll(removeFolders);

const conv = (filters: number) => ({
  kind: { $case: 'conv2d' as const, conv2d: { filters, kernel: [3, 3], padding: 'same', activation: 'relu' } },
});
/** Parted among threads, with masks, an average and a rate that comes down. */
const spec: Spec = {
  layers: [
    { kind: { $case: 'reshape', reshape: { shape: [1n, 8n, 8n] } } },
    conv(32),
    conv(32),
    { kind: { $case: 'flatten', flatten: {} } },
    { kind: { $case: 'dropout', dropout: { rate: 0.2 } } },
    dense(10),
  ],
  batchSize: 64,
  optimizer: {
    kind: { $case: 'adam', adam: { learningRate: 0.003 } },
    scheduled: { kind: 'cosine' },
    clipNorm: 1,
    ema: 0.5,
  },
  epochs: 2,
  seed: 4n,
};

it('a training that threads share ends with the same bytes by one thread, by two, and from any checkpoint', async () => {
  const whole = await run(orderOf(spec, { threads: 2, checkpointMs: 0 }));
  expect(whole.metrics['accuracy']).toBeGreaterThan(0.85);
  expect(Buffer.compare((await run(orderOf(spec, { threads: 1 }))).model, whole.model)).toBe(0);
  const { checkpoints } = whole;
  for (const { path } of [checkpoints[0]!, checkpoints[checkpoints.length >> 1]!, checkpoints.at(-1)!]) {
    const resumed = await run(orderOf(spec, { threads: 2, checkpointPath: path }));
    expect(Buffer.compare(resumed.model, whole.model)).toBe(0);
    expect(resumed.history).toEqual(whole.history);
  }
});

it('and says where numbers ceased to be numbers', async () => {
  const steep: Spec = { ...spec, optimizer: { kind: { $case: 'sgd', sgd: { learningRate: 1000 } } } };
  await expect(run(orderOf(steep, { threads: 2 }))).rejects.toThrow(
    /at step \d+ of \d+; the first tensor that is no number is/,
  );
});

it('and goes back to the last evaluation where that is asked for', async () => {
  const rolling: Spec = {
    ...spec,
    onDivergence: 'roll_back',
    optimizer: {
      kind: { $case: 'sgd', sgd: { learningRate: 1000 } },
      scheduled: { kind: 'constant', warmupSteps: 30 },
    },
    evaluateEvery: 5,
    steps: 40n,
  };
  const done = await run(orderOf(rolling, { threads: 2 }));
  expect(done.notes).toContainEqual(expect.stringMatching(/^rolled back from step \d+ to step \d/));
  expect(Number.isFinite(done.metrics['loss'])).toBe(true);
});
