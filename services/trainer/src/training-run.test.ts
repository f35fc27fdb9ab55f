import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { floatsOf, readOnnx } from '@modelmill/onnx';
import { readCheckpoint } from './checkpoint.js';
import { TrainingFailedError } from './divergence.js';
import { dense, newFolder, orderOf, removeFolders, run } from './training-for-tests.js';
import type { Spec } from './training-for-tests.js';

afterAll(removeFolders);

describe('a training', () => {
  it('learns real digits, and reports every epoch', async () => {
    const { metrics, progress, model } = await run(orderOf({ epochs: 8 }));
    expect(metrics['accuracy']).toBeGreaterThan(0.93);
    expect(metrics['parameters']).toBe(64 * 32 + 32 + 64 + 32 * 10 + 10);
    const epochs = progress.filter((report) => 'accuracy' in report.metrics);
    expect(epochs.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(epochs.at(-1)).toMatchObject({ step: 8 * 22, steps: 8 * 22, secondsLeft: 0 });
    expect(epochs.at(-1)!.loss).toBeLessThan(epochs[0]!.loss);
    const { graph } = readOnnx(model);
    expect(graph.inputs).toMatchObject([{ name: 'input', shape: ['batch', 64] }]);
    expect(graph.outputs).toMatchObject([{ name: 'probabilities', shape: ['batch', 10] }]);
    expect(graph.nodes.map(({ opType }) => opType)).not.toContain('Dropout');
  });

  it('gives the same bytes again, and the same from any checkpoint on', async () => {
    const whole = await run(orderOf({}));
    expect((await run(orderOf({}))).model.equals(whole.model)).toBe(true);

    const stopping = await run(orderOf({}, { checkpointMs: 0 }));
    expect(stopping.model.equals(whole.model)).toBe(true);
    const steps = stopping.checkpoints.map(({ step }) => step);
    expect(steps.length).toBeGreaterThan(10);
    for (const step of [7, 22, 50]) {
      const { path } = stopping.checkpoints.find((checkpoint) => checkpoint.step === step)!;
      const resumed = await run(orderOf({}, { checkpointPath: path }));
      expect({ step, same: resumed.model.equals(whole.model) }).toEqual({ step, same: true });
      expect(resumed.metrics).toEqual(whole.metrics);
    }
  });

  it('gives the same bytes from a checkpoint on by the other engine, too', async () => {
    const spec = { engine: 'tfjs', epochs: 1, batchSize: 128 };
    const whole = await run(orderOf(spec, { checkpointMs: 0 }));
    const { path } = whole.checkpoints.find(({ step }) => step === 5)!;
    const resumed = await run(orderOf(spec, { checkpointPath: path }));
    expect(resumed.model.equals(whole.model)).toBe(true);
    const changed = await run(orderOf({ ...spec, engine: 'onnx' }, { checkpointPath: path }));
    expect(changed.metrics['loss']).toBeCloseTo(whole.metrics['loss']!, 3);
  });

  it('gives others for another seed', async () => {
    const [a, b] = [await run(orderOf({ epochs: 1 })), await run(orderOf({ epochs: 1, seed: 6n }))];
    expect(a.model.equals(b.model)).toBe(false);
  });

  it('goes on from a model, and learns from a teacher', async () => {
    const teacher = await run(orderOf({ epochs: 6 }));
    const base = { layers: [], base: { source: { $case: 'version' as const, version: '1' } }, epochs: 1 };
    const tuned = await run(orderOf(base, { basePath: teacher.path }));
    expect(tuned.metrics['accuracy']).toBeGreaterThan(0.93);

    const student = { layers: [dense(10)], epochs: 4, distillation: { version: '1', mix: 1 } };
    const taught = await run(orderOf(student, { teacherPath: teacher.path }));
    expect(taught.metrics['accuracy']).toBeGreaterThan(0.85); // the targets themselves have no weight
  });

  const based: Spec = { layers: [], base: { source: { $case: 'version', version: '1' } } };

  it('prunes on its way, and gives the same bytes from any checkpoint on', async () => {
    const base = await run(orderOf({ epochs: 6 }));
    const weights = ['layer0.weight', 'layer3.weight'];
    const pruning = { groups: [{ weights, initialSparsity: 0.3, finalSparsity: 0.8 }], begin: 0.1, end: 0.7, every: 5 };
    const optimizer = { kind: { $case: 'adam' as const, adam: { learningRate: 0.005 } }, ema: 0.9 };
    const spec: Spec = { ...based, optimizer, pruning, epochs: 3 };
    const whole = await run(orderOf(spec, { basePath: base.path, checkpointMs: 0 }));
    const valuesOf = (model: Uint8Array) =>
      weights.map((name) => floatsOf(readOnnx(model).graph.initializers.get(name)!));
    const left = (model: Uint8Array) =>
      valuesOf(model)
        .flatMap((values) => [...values])
        .filter((value) => value !== 0);
    const count = 64 * 32 + 32 * 10;
    expect(left(base.model)).toHaveLength(count);
    expect(left(whole.model)).toHaveLength(Math.round(0.2 * count));
    expect(whole.metrics['accuracy']).toBeGreaterThan(0.9);
    const zerosAt = (step: number) => {
      const { path } = whole.checkpoints.find((checkpoint) => checkpoint.step === step)!;
      const { tensors } = readCheckpoint(readFileSync(path));
      return weights.map((name) => tensors.get(name)!.filter((value) => value === 0).length).reduce((a, b) => a + b);
    };
    // before steps 6, 11, … 41 and 46 of 66, counted from 0; half-way is 26
    expect([6, 7, 27, 46, 47].map(zerosAt)).toEqual(
      [0, 0.3, 0.8 - 0.5 / 8, 0.8 - 0.5 * (5 / 40) ** 3, 0.8].map((share) => count - Math.round(count * (1 - share))),
    );
    for (const step of [6, 7, 30, 60]) {
      const { path } = whole.checkpoints.find((checkpoint) => checkpoint.step === step)!;
      const resumed = await run(orderOf(spec, { basePath: base.path, checkpointPath: path }));
      expect({ step, same: resumed.model.equals(whole.model) }).toEqual({ step, same: true });
    }
  });

  it('tells how much each weight matters, in a model of the same names, whatever it is interrupted by', async () => {
    const base = await run(orderOf({ epochs: 6 }));
    const spec: Spec = { ...based, optimizer: undefined, importance: true, artifactOnly: true, steps: 10n };
    const whole = await run(orderOf(spec, { basePath: base.path, checkpointMs: 0 }));
    expect(whole.metrics['train_loss']).toBeLessThan(0.5);
    const { path } = whole.checkpoints.find(({ step }) => step === 4)!;
    const resumed = await run(orderOf(spec, { basePath: base.path, checkpointPath: path }));
    expect(resumed.model.equals(whole.model)).toBe(true);
    const [weights, sums] = [base.model, whole.model].map((file) => readOnnx(file).graph.initializers);
    expect([...sums!].map(([name, { dims }]) => [name, dims])).toEqual(
      [...weights!].map(([name, { dims }]) => [name, dims]),
    );
    const matters = floatsOf(sums!.get('layer0.weight')!);
    expect(matters.every((value) => value >= 0)).toBe(true);
    // a pixel that is always 0 moves nothing
    const isDark = [0, 32, 39];
    for (const pixel of isDark)
      expect([...matters.subarray(32 * pixel, 32 * pixel + 32)].every((sum) => sum < 1e-6)).toBe(true);
    expect(matters.some((sum) => sum > 0.01)).toBe(true);
  });

  it('prunes, and tells what matters, by the other engine as by the first', async () => {
    const base = await run(orderOf({ epochs: 2 }));
    const valuesOf = async (spec: Spec) => {
      const { model } = await run(orderOf({ ...based, ...spec, batchSize: 128 }, { basePath: base.path }));
      return floatsOf(readOnnx(model).graph.initializers.get('layer0.weight')!);
    };
    const weighing: Spec = { optimizer: undefined, importance: true, artifactOnly: true, steps: 3n };
    const [sums, others] = [await valuesOf(weighing), await valuesOf({ ...weighing, engine: 'tfjs' })];
    const largest = Math.max(...sums);
    expect(Math.max(...sums.map((sum, i) => Math.abs(sum - others[i]!))) / largest).toBeLessThan(1e-4);
    const pruning = { groups: [{ weights: ['layer0.weight'], finalSparsity: 0.5 }], end: 0.5, every: 1 };
    const pruned = await valuesOf({ engine: 'tfjs', pruning, steps: 6n });
    expect(pruned.filter((value) => value === 0)).toHaveLength((64 * 32) / 2);
  });

  it('learns hidden features of a teacher, and gives the same bytes from any checkpoint on', async () => {
    const teacher = await run(orderOf({ epochs: 8, batchSize: 32 }));
    const student = (weight: number) => ({
      layers: [dense(8, 'tanh'), dense(10)],
      epochs: 2,
      distillation: {
        version: '1',
        features: [
          { teacher: 'layer0.relu', student: 'layer0.tanh', weight },
          { teacher: 'layer1', student: 'layer0.tanh', weight, loss: 'cosine' },
        ],
      },
    });
    const taught = { teacherPath: teacher.path };
    const whole = await run(orderOf(student(1), { ...taught, checkpointMs: 0 }));
    expect(whole.metrics['parameters']).toBe(64 * 8 + 8 + 8 * 10 + 10);
    const { graph } = readOnnx(whole.model);
    const names = ['layer0.bias', 'layer0.weight', 'layer1.bias', 'layer1.weight'];
    expect([...graph.initializers.keys()].sort()).toEqual(names);
    const { path } = whole.checkpoints.find(({ step }) => step === 13)!;
    const resumed = await run(orderOf(student(1), { ...taught, checkpointPath: path }));
    expect(resumed.model.equals(whole.model)).toBe(true);
    expect((await run(orderOf(student(1e-9), taught))).model.equals(whole.model)).toBe(false);
  });

  it('goes on with averages, plateaus and the best weights as if it had never stopped', async () => {
    const spec: Spec = {
      epochs: 6,
      optimizer: {
        kind: { $case: 'rmsProp', rmsProp: { learningRate: 0.01, momentum: 0.5 } },
        scheduled: { kind: 'plateau', patience: 1, gamma: 0.5, warmupSteps: 5 },
        ema: 0.9,
        clipValue: 0.5,
        groups: [{ weights: ['*.bias'], learningRateScale: 2 }],
      },
      losses: [{ kind: 'cross_entropy', labelSmoothing: 0.1 }],
      metrics: ['accuracy', 'top_3', 'f1', 'auc'],
      earlyStopping: { metric: 'f1', patience: 3 },
      restoreBest: true,
      evaluateEvery: 15,
    };
    const loss = [{ kind: 'cross_entropy', labelSmoothing: 0.1 }] as const;
    const whole = await run(orderOf(spec, { loss, checkpointMs: 0 }));
    expect(Object.keys(whole.metrics).sort()).toEqual(
      ['accuracy', 'auc', 'f1', 'loss', 'parameters', 'top_3', 'train_loss'].sort(),
    );
    expect(whole.metrics['auc']).toBeGreaterThan(0.98);
    expect(whole.metrics['top_3']).toBeGreaterThan(whole.metrics['accuracy']!);
    for (const step of [8, 31, 77]) {
      const { path } = whole.checkpoints.find((checkpoint) => checkpoint.step === step)!;
      const resumed = await run(orderOf(spec, { loss, checkpointPath: path }));
      expect({ step, same: resumed.model.equals(whole.model) }).toEqual({ step, same: true });
      expect(resumed.history).toEqual(whole.history);
      expect(resumed.notes).toEqual(whole.notes);
    }
  });

  it('gathers several batches into the update of one large one, and goes on in the middle of it', async () => {
    const adam = { kind: { $case: 'adam' as const, adam: { learningRate: 0.005 } } };
    const plain = { layers: [dense(32, 'relu'), dense(10)], optimizer: adam };
    const large = await run(orderOf({ ...plain, batchSize: 64, steps: 20n }));
    const parts = { ...plain, optimizer: { ...adam, accumulate: 4 }, batchSize: 16, steps: 80n };
    const small = await run(orderOf(parts));
    expect(small.metrics['loss']).toBeCloseTo(large.metrics['loss']!, 4);
    const statistics = { optimizer: { ...adam, accumulate: 3 }, batchSize: 16, steps: 80n };
    for (const spec of [parts, statistics]) {
      const whole = await run(orderOf(spec, { checkpointMs: 0 }));
      for (const step of [4, 5, 78]) {
        const { path } = whole.checkpoints.find((checkpoint) => checkpoint.step === step)!;
        const resumed = await run(orderOf(spec, { checkpointPath: path }));
        expect({ step, same: resumed.model.equals(whole.model) }).toEqual({ step, same: true });
      }
    }
    // what was gathered by the last step is not lost
    const shortAt = async (learningRate: number) => {
      const kind = { $case: 'adam' as const, adam: { learningRate } };
      return (await run(orderOf({ ...parts, steps: 3n, optimizer: { kind, accumulate: 4 } }))).metrics['loss'];
    };
    expect(await shortAt(0.01)).toBeLessThan((await shortAt(1e-9))!);
  });

  it('stops early, and serves what was best', async () => {
    const spec: Spec = {
      epochs: 60,
      optimizer: { kind: { $case: 'sgd', sgd: { learningRate: 0.5, momentum: 0.9 } } },
      earlyStopping: { metric: 'accuracy', patience: 3 },
      restoreBest: true,
    };
    const { history, metrics, notes } = await run(orderOf(spec));
    const measured = history.filter((line) => 'train_loss' in line && 'epoch' in line);
    expect(measured.length).toBeLessThan(60);
    const best = Math.max(...measured.map((line) => line['accuracy']!));
    expect(metrics['accuracy']).toBe(best);
    expect(measured.findIndex((line) => line['accuracy'] === best)).toBe(measured.length - 4);
    expect(notes).toEqual([
      expect.stringMatching(/^stopped early at step \d+: accuracy was best at step \d+, 3 evaluations ago$/),
      expect.stringMatching(/^serves the weights of step \d+, whose accuracy was best$/),
    ]);
  });

  it('keeps a history of its steps, its evaluations and what was confused at the end', async () => {
    const { history, metrics } = await run(orderOf({ epochs: 2 }));
    expect(history.filter((line) => 'gradient_norm' in line).map((line) => line['step'])).toEqual(
      Array.from({ length: 44 }, (_, i) => i + 1),
    );
    expect(history.filter((line) => 'epoch' in line)).toHaveLength(2);
    const { confusion, per_class, ...last } = history.at(-1) as unknown as {
      confusion: number[][];
      per_class: { recall: number; support: number }[];
    };
    expect(last).toEqual({ ...metrics, step: 44 });
    expect(confusion.flat().reduce((sum, count) => sum + count, 0)).toBe(359);
    const right = per_class.reduce((sum, { recall, support }) => sum + recall * support, 0);
    expect(right / 359).toBeCloseTo(metrics['accuracy']!, 12);
  });

  it('learns a binary target by one logit, and serves both probabilities', async () => {
    const path = join(newFolder(), 'moons.csv');
    const rows = Array.from({ length: 400 }, (_, i) => {
      const [x, y] = [Math.sin(i * 12.9898) * 2, Math.sin(i * 78.233) * 2];
      return `${x},${y},${x * x + y * y < 2 ? 'in' : 'out'}`;
    });
    writeFileSync(path, `${rows.join('\n')}\n`);
    const optimizer = { kind: { $case: 'adam' as const, adam: { learningRate: 0.03 } } };
    const order = orderOf({ layers: [dense(16, 'tanh'), dense(1)], optimizer, epochs: 80, batchSize: 32 });
    const { metrics, model } = await run({
      ...order,
      loss: [{ kind: 'binary_cross_entropy' }],
      dataset: { ...order.dataset, path },
    });
    expect(metrics['accuracy']).toBeGreaterThan(0.9);
    expect(readOnnx(model).graph.outputs).toMatchObject([{ name: 'probabilities', shape: ['batch', 2] }]);
  });

  it('picks optimizer, rate and batch size where it may, says why, and does not change its mind', async () => {
    const spec: Spec = { auto: true, optimizer: undefined, epochs: 4 };
    const whole = await run(orderOf(spec, { checkpointMs: 0 }));
    expect(whole.metrics['accuracy']).toBeGreaterThan(0.85);
    expect(whole.notes).toEqual([
      expect.stringMatching(/^chose batches of (32|64|128): examples per second were 32: \d+, 64: \d+, 128: \d+/),
      expect.stringMatching(
        /^chose .+ with a rate of [\d.e-]+: 40 steps led to .+ \(AdamW at .+: 0\.\d+, SGD .+: 0\.\d+, RMSprop .+: 0\.\d+\)/,
      ),
    ]);
    const resumed = await run(orderOf(spec, { checkpointPath: whole.checkpoints[0]!.path }));
    expect(whole.checkpoints[0]!.step).toBe(0);
    expect(resumed.model.equals(whole.model)).toBe(true);
    expect(resumed.notes).toEqual(whole.notes);
  });

  it('picks a recipe for numbers whose losses leap from batch to batch', async () => {
    const path = join(newFolder(), 'leaps.csv');
    const rows = Array.from({ length: 800 }, (_, i) => {
      const x = Math.sin(i * 12.9898) * 20;
      return `${x},${i % 97 === 5 ? 1e6 * x : x}`;
    });
    writeFileSync(path, `${rows.join('\n')}\n`);
    const order = orderOf({ auto: true, optimizer: undefined, layers: [dense(8, 'relu'), dense(1)], epochs: 1 });
    const { notes } = await run({ ...order, loss: [{ kind: 'mse' }], dataset: { ...order.dataset, path } });
    expect(notes[0]).toMatch(/^chose batches of (32|64): examples per second were 32: \d+, 64: \d+, and/);
    expect(notes[1]).toMatch(
      /^chose (AdamW|RMSprop) with a rate of 0\.0[\d]+: .+SGD .+: (no number|[\d.]+), RMSprop at .+: [\d.]+\)/,
    );
  });

  const hopeless: Spec = {
    optimizer: { kind: { $case: 'sgd', sgd: { learningRate: 1000 } } },
    layers: [dense(64, 'relu'), dense(64, 'relu'), dense(10)],
  };

  it('fails with the step at which the loss was no number, and the tensor where that began', async () => {
    await expect(run(orderOf(hopeless))).rejects.toThrow(TrainingFailedError);
    await expect(run(orderOf(hopeless))).rejects.toThrow(
      /^the loss is (NaN|Infinity) at step \d+ of 66; the first tensor that is no number is '.+', made by node '.+' \(/,
    );
  });

  it('rolls back to the same place wherever it goes on from a checkpoint', async () => {
    const spec: Spec = {
      ...hopeless,
      onDivergence: 'roll_back',
      optimizer: {
        kind: { $case: 'sgd', sgd: { learningRate: 100 } },
        scheduled: { kind: 'constant', warmupSteps: 60 },
      },
      evaluateEvery: 5,
      steps: 40n,
    };
    const whole = await run(orderOf(spec, { checkpointMs: 0 }));
    expect(whole.notes).toContainEqual(expect.stringMatching(/^rolled back from step \d+ to step [1-9]/));
    for (const { step, path } of whole.checkpoints.slice(0, 24).filter((_, i) => i % 3 === 0)) {
      const resumed = await run(orderOf(spec, { checkpointPath: path }));
      expect({ step, notes: resumed.notes }).toEqual({ step, notes: whole.notes });
      expect({ step, same: resumed.model.equals(whole.model) }).toEqual({ step, same: true });
    }
  });

  it('goes back and halves the rate where it is asked to, and gives up after five times', async () => {
    const rescued = await run(
      orderOf({
        ...hopeless,
        onDivergence: 'roll_back',
        optimizer: { kind: { $case: 'sgd', sgd: { learningRate: 30, momentum: 0.9 } } },
      }),
    );
    expect(rescued.notes[0]).toMatch(
      /^rolled back from step \d+ to step \d+, where the loss was a number; the rate is halved$/,
    );
    expect(rescued.metrics['accuracy']).toBeGreaterThan(0.05);
    await expect(run(orderOf({ ...hopeless, onDivergence: 'roll_back' }))).rejects.toThrow(
      /^the (loss|gradient norm) is/,
    );
  });
});
