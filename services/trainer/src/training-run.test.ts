import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readOnnx } from '@modelmill/onnx';
import { trainer } from '@modelmill/contracts';
import type { FromTraining, TrainingOrder } from './training-messages.js';
import { planTraining } from './training-plan.js';
import { TrainingFailedError, runTraining } from './training-run.js';

jest.setTimeout(60_000);

const digits = fileURLToPath(new URL('../../../examples/data/digits.csv.gz', import.meta.url));
const folders: string[] = [];
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));

type Spec = Parameters<typeof trainer.TrainingSpec.fromPartial>[0];
const dense = (units: number, activation = '') => ({ kind: { $case: 'dense' as const, dense: { units, activation } } });
const dropout = { kind: { $case: 'dropout' as const, dropout: { rate: 0.2 } } };
const layers = [dense(32, 'relu'), { kind: { $case: 'batchNorm' as const, batchNorm: {} } }, dropout, dense(10)];

function orderOf(spec: Spec, changes: Partial<TrainingOrder> = {}): TrainingOrder {
  const folder = mkdtempSync(join(tmpdir(), 'mill-training-'));
  folders.push(folder);
  const whole = trainer.TrainingSpec.fromPartial({
    model: 'digits',
    data: { dataset: 'digits', normalize: 'standard' },
    layers,
    optimizer: { kind: { $case: 'adam', adam: { learningRate: 0.005 } } },
    epochs: 3,
    seed: 5n,
    ...spec,
  });
  return {
    plan: planTraining(whole),
    inputs: { datasetVersion: '1' },
    dataset: {
      path: digits,
      format: { kind: 'csv', header: false, target: '' },
      splits: { train: 0.8, validation: 0, test: 0.2, seed: '0' },
    },
    loss: 'cross_entropy',
    basePath: undefined,
    teacherPath: undefined,
    checkpointPath: undefined,
    folder,
    threads: 1,
    checkpointMs: 1_000_000,
    ...changes,
  };
}

async function run(order: TrainingOrder) {
  const messages: FromTraining[] = [];
  await runTraining(order, async (message) => void messages.push(message));
  const done = messages.find((message) => message.kind === 'done')!;
  const progress = messages.flatMap((message) => (message.kind === 'progress' ? [message.progress] : []));
  const checkpoints = messages.flatMap((message) => (message.kind === 'checkpoint' ? [message] : []));
  return { ...done, model: readFileSync(done.path), progress, checkpoints };
}

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

  it('fails with the step at which the loss was no number', async () => {
    const optimizer = { kind: { $case: 'sgd' as const, sgd: { learningRate: 1000 } } };
    const hopeless = orderOf({ optimizer, layers: [dense(64, 'relu'), dense(64, 'relu'), dense(10)] });
    await expect(run(hopeless)).rejects.toThrow(TrainingFailedError);
    await expect(run(hopeless)).rejects.toThrow(/^the loss is (NaN|Infinity) at step \d+ of 66/);
  });
});
