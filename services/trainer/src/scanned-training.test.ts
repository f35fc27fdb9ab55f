import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCheckpoint } from './checkpoint.js';
import { trainInChild } from './train-in-child.js';
import { dense, newFolder, orderOf, removeFolders, run } from './training-for-tests.js';
import type { Spec } from './training-for-tests.js';
import type { FromTraining, TrainingOrder } from './training-messages.js';

afterAll(removeFolders);

const adam = { kind: { $case: 'adam' as const, adam: { learningRate: 0.005 } } };
const reshape = (...shape: bigint[]) => ({ kind: { $case: 'reshape' as const, reshape: { shape } } });
const dropout = { kind: { $case: 'dropout' as const, dropout: { rate: 0.2 } } };
const based: Spec = { layers: [], base: { source: { $case: 'version', version: '1' } } };

const cnn: Spec = {
  layers: [
    reshape(1n, 8n, 8n),
    { kind: { $case: 'conv2d', conv2d: { filters: 16, kernel: [3, 3], padding: 'same', activation: 'relu' } } },
    { kind: { $case: 'batchNorm', batchNorm: {} } },
    { kind: { $case: 'maxPool2d', maxPool2d: { kernel: [2, 2] } } },
    { kind: { $case: 'conv2d', conv2d: { filters: 16, kernel: [3, 3] } } },
    { kind: { $case: 'flatten', flatten: {} } },
    dropout,
    dense(10),
  ],
};
const gpt: Spec = {
  data: { dataset: 'sayings', context: 16 },
  preset: { kind: { $case: 'gpt', gpt: { layers: 2, heads: 2, width: 16, dropout: 0.1 } } },
  layers: [],
  evaluateEvery: 40,
  steps: 60n,
};
const lstm: Spec = {
  layers: [reshape(8n, 8n), { kind: { $case: 'lstm', lstm: { units: 12, bidirectional: true } } }, dense(10)],
};
/** What changes the rate or what is served at evaluations, and most of what a state can have. */
const restored: Spec = {
  optimizer: {
    kind: { $case: 'muon', muon: { learningRate: 0.02 } },
    scheduled: { kind: 'plateau', patience: 1, gamma: 0.5, warmupSteps: 5 },
    ema: 0.9,
    clipNorm: 1,
  },
  restoreBest: true,
  evaluateEvery: 15,
  steps: 100n,
};
const pruned: Spec = {
  ...based,
  pruning: { groups: [{ weights: ['layer0.weight'], finalSparsity: 0.8 }], begin: 0.1, end: 0.7, every: 9 },
};
const weighed: Spec = { ...based, optimizer: undefined, importance: true, artifactOnly: true };
const student: Spec = {
  layers: [dense(8, 'tanh'), dense(10)],
  distillation: { version: '1', features: [{ teacher: 'layer0.relu', student: 'layer0.tanh' }] },
};

const ofText = () => {
  const path = join(newFolder(), 'sayings.txt');
  writeFileSync(path, 'to be or not to be, that is the question; '.repeat(60));
  return { dataset: { ...orderOf({}).dataset, path, format: { kind: 'text' as const } } };
};
const path = async () => (await run(orderOf({ epochs: 2 }))).path;
const basePath = async () => ({ basePath: await path() });
const teacherPath = async () => ({ teacherPath: await path() });

/** Checkpoints are taken after every run, so that they tell where runs ended. */
const scannedOrder = (spec: Spec, changes: Partial<TrainingOrder> = {}) =>
  orderOf(spec, { scanned: true, checkpointMs: 0, ...changes });

const sgd = (learningRate: number, warmupSteps: number) => ({
  kind: { $case: 'sgd' as const, sgd: { learningRate } },
  scheduled: { kind: 'constant', warmupSteps },
});
/** Its loss is no number at step 54, in the middle of steps 45 to 60. */
const hopeless: Spec = {
  layers: [dense(64, 'relu'), dense(64, 'relu'), dense(10)],
  optimizer: sgd(3, 60),
};
/** Its weights are 7,999 times as large after each step, and no numbers after step 10; its loss then is none at step 11. */
const growing: Spec = {
  layers: [dense(10)],
  optimizer: {
    kind: { $case: 'adam', adam: { learningRate: 1000, weightDecay: 1 } },
    groups: [{ weights: ['*'], learningRateScale: 8 }],
  },
};

/** Why a training fails, and the step of the checkpoint that is named. */
async function failureOf(order: TrainingOrder) {
  const message = await run(order).then(
    () => 'none',
    (error: Error) => error.message,
  );
  return { message, savedStep: Number(/checkpoint was at step (\d+)/.exec(message)?.[1]) };
}

describe('a training of many steps in one run', () => {
  it.each<[string, Spec, () => Partial<TrainingOrder> | Promise<Partial<TrainingOrder>>]>([
    ['perceptron', {}, () => ({})],
    ['convolutional network', cnn, () => ({})],
    ['transformer', gpt, ofText],
    ['LSTM', lstm, () => ({})],
    ['network by Muon, clipped, averaged and restored', restored, () => ({})],
    ['network that gathers gradients', { optimizer: { ...adam, accumulate: 3 } }, () => ({})],
    ['network that is pruned on its way', pruned, basePath],
    ['network whose weights are weighed', weighed, basePath],
    ['student', student, teacherPath],
  ])('gives a %s the bytes, losses and figures of single steps', async (_, spec, changes) => {
    const given = await changes();
    const single = await run(orderOf(spec, given));
    const scanned = await run(scannedOrder(spec, given));
    expect(scanned.history).toEqual(single.history);
    expect(scanned.metrics).toEqual(single.metrics);
    expect(scanned.model.equals(single.model)).toBe(true);
  });

  it('makes more at once up to an evaluation, and goes on from what lay between two runs as if it had never stopped', async () => {
    for (const spec of [{}, restored]) {
      const whole = await run(orderOf(spec));
      const { checkpoints } = await run(scannedOrder(spec));
      const ends = checkpoints.map(({ step }) => step);
      expect(ends).toContain(spec === restored ? 15 : 22);
      expect(Math.max(...ends.slice(1).map((end, i) => end - ends[i]!))).toBeGreaterThanOrEqual(4);
      for (const { path: checkpointPath, step } of checkpoints.slice(1)) {
        for (const scanned of [true, false]) {
          const resumed = await run(orderOf(spec, { checkpointPath, scanned }));
          expect({ step, same: resumed.model.equals(whole.model) }).toEqual({ step, same: true });
          expect(resumed.history).toEqual(whole.history);
        }
      }
    }
  });

  it('goes on by many at once from a checkpoint that single steps took anywhere', async () => {
    const whole = await run(orderOf({}, { checkpointMs: 0 }));
    for (const { path: checkpointPath, step } of whole.checkpoints.filter(({ step }) => step % 7 === 5)) {
      const resumed = await run(orderOf({}, { checkpointPath, scanned: true }));
      expect({ step, same: resumed.model.equals(whole.model) }).toEqual({ step, same: true });
    }
  });

  it('fails where a loss in the middle of a run is no number, with step, tensor and checkpoint', async () => {
    const { message, savedStep } = await failureOf(scannedOrder(hopeless));
    expect(message).toBe(
      "the loss is NaN at step 54 of 66; the first tensor that is no number is 'logits', made by node 'layer2' (Gemm); " +
        `the last good checkpoint was at step ${savedStep}: try a smaller learning rate, or clip_norm`,
    );
    expect(savedStep).toBeGreaterThanOrEqual(44);
    expect(savedStep).toBeLessThan(53);
    const single = await failureOf(orderOf(hopeless, { checkpointMs: 0 }));
    expect(single.message).toBe(message.replace(`step ${savedStep}:`, 'step 53:'));
  });

  it('finds the update in the middle of a run that broke the weights', async () => {
    const { message, savedStep } = await failureOf(scannedOrder(growing));
    expect(message).toMatch(
      /^the loss is NaN at step 11 of 66; the first tensor that is no number is '.+', made by node '.+' \(.+\), in step 10; the last good/,
    );
    expect(savedStep).toBeLessThan(10);
    // of a state that is none there is no checkpoint
    const single = await failureOf(orderOf(growing, { checkpointMs: 0 }));
    expect(single.message).toBe(message.replace(`step ${savedStep}:`, 'step 9:'));
  });

  it('rolls back from the middle of a run to the last evaluation, at half the rate, wherever it goes on from', async () => {
    const spec: Spec = { ...hopeless, onDivergence: 'roll_back' };
    const single = await run(orderOf(spec));
    const scanned = await run(scannedOrder(spec));
    expect(scanned.notes).toEqual([
      'rolled back from step 54 to step 44, where the loss was a number; the rate is halved',
    ]);
    const next = scanned.history.find(({ step, loss }) => step === 45 && loss !== undefined)!;
    expect(next['learning_rate']).toBeCloseTo((3 * 45) / 61 / 2, 6);
    expect(scanned.history).toEqual(single.history);
    expect(scanned.model.equals(single.model)).toBe(true);
    for (const { path: checkpointPath, step } of scanned.checkpoints) {
      const resumed = await run(orderOf(spec, { checkpointPath, scanned: true }));
      expect({ step, notes: resumed.notes }).toEqual({ step, notes: single.notes });
      expect({ step, same: resumed.model.equals(single.model) }).toEqual({ step, same: true });
    }
  });

  it('gives up after five times', async () => {
    const spec: Spec = { ...hopeless, onDivergence: 'roll_back', optimizer: sgd(1000, 0) };
    const { message } = await failureOf(scannedOrder(spec, { checkpointMs: 1_000_000 }));
    expect(message).toMatch(/^the (loss|gradient norm) is/);
    expect((await failureOf(orderOf(spec))).message).toBe(message);
  });

  it('picks a recipe, and goes on with it from a checkpoint', async () => {
    const spec: Spec = { auto: true, optimizer: undefined, epochs: 4 };
    const { checkpoints, metrics, model, notes } = await run(scannedOrder(spec));
    expect(metrics['accuracy']).toBeGreaterThan(0.85);
    expect(notes[0]).toMatch(/^chose batches of (32|64|128): examples per second were 32: \d+, 64: \d+, 128: \d+/);
    const resumed = await run(orderOf(spec, { checkpointPath: checkpoints[3]!.path, scanned: true }));
    expect(resumed.notes).toEqual(notes);
    expect(resumed.model.equals(model)).toBe(true);
  });

  it('stops early where single steps do, and serves what was best', async () => {
    const spec: Spec = {
      epochs: 60,
      optimizer: { kind: { $case: 'sgd', sgd: { learningRate: 0.5, momentum: 0.9 } } },
      earlyStopping: { metric: 'accuracy', patience: 3 },
      restoreBest: true,
    };
    const [single, scanned] = [await run(orderOf(spec)), await run(scannedOrder(spec))];
    expect(scanned.notes).toEqual([
      expect.stringMatching(/^stopped early at step \d+: accuracy was best at step \d+, 3 evaluations ago$/),
      expect.stringMatching(/^serves the weights of step \d+, whose accuracy was best$/),
    ]);
    expect(scanned.notes).toEqual(single.notes);
    expect(scanned.history).toEqual(single.history);
    expect(scanned.model.equals(single.model)).toBe(true);
  });

  it('ends at once where it is cancelled in the middle of a run, and goes on from the checkpoint it had', async () => {
    // so many that the child is not through with them before it is told to end
    const spec: Spec = { evaluateEvery: 1000, steps: 5000n };
    const kept = join(newFolder(), 'checkpoint');
    const cancelled = new AbortController();
    const told: FromTraining['kind'][] = [];
    const training = trainInChild(scannedOrder(spec), { signal: cancelled.signal }, (message) => {
      told.push(message.kind);
      if (message.kind !== 'checkpoint' || message.step < 31) return Promise.resolve();
      copyFileSync(message.path, kept);
      // the next run has begun
      cancelled.abort('cancelled');
      return Promise.resolve();
    });
    await expect(training).rejects.toBe('cancelled');
    expect(told).not.toContain('done');
    expect(readCheckpoint(readFileSync(kept)).standing.step).toBeLessThan(5000);
    const resumed = await run(orderOf(spec, { checkpointPath: kept, scanned: true }));
    expect(resumed.model.equals((await run(orderOf(spec))).model)).toBe(true);
  });
});
