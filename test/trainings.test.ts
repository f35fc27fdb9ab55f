import { status } from '@grpc/grpc-js';
import { MillError } from '@modelmill/client';
import type { trainer } from '@modelmill/client';
import { smallSpec, uploadDigits } from './digits.js';
import { listen, succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(120_000);

describe('a training job', () => {
  let mesh: Mesh;
  let events: Awaited<ReturnType<typeof listen>>;
  beforeAll(async () => {
    mesh = await startMesh();
    events = await listen(mesh.natsUrl);
    await uploadDigits(mesh.mill);
    await finished(smallSpec({ epochs: 5, label: 'stable' }));
    await events.heard(/model\.digits\.1\.ready$/);
  });
  afterAll(async () => {
    await events[Symbol.asyncDispose]();
    await mesh[Symbol.asyncDispose]();
  });

  const finished = async (spec: trainer.TrainingSpec) => {
    const { status: job } = await mesh.mill.trainer.submit(spec);
    return succeeded(mesh.mill.trainer.watch(job!.jobId));
  };
  const rejection = (call: Promise<unknown>): Promise<MillError> =>
    call.then(
      () => Promise.reject(new Error('it was taken')),
      (error: unknown) => error as MillError,
    );

  it('can be looked at before it is submitted', async () => {
    const plan = await mesh.mill.trainer.validate(smallSpec());
    expect(plan.layers.map(({ name, parameters }) => [name, parameters])).toEqual([
      ['0: dense', 64n * 32n + 32n],
      ['1: dense', 32n * 10n + 10n],
    ]);
    expect(plan.parameters).toBe(2410n);
    expect(plan.signature).toEqual({
      inputs: [{ name: 'input', datatype: 'FP32', shape: [-1n, 64n] }],
      outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [-1n, 10n] }],
    });
  });

  it('is the same one when it is submitted again, and refuses another spec under its name', async () => {
    const once = await mesh.mill.trainer.submit(smallSpec({ model: 'twice' }), { jobId: 'twice' });
    const again = await mesh.mill.trainer.submit(smallSpec({ model: 'twice' }), { jobId: 'twice' });
    expect(again.status?.createdAt).toEqual(once.status?.createdAt);
    const other = await rejection(mesh.mill.trainer.submit(smallSpec({ model: 'other' }), { jobId: 'twice' }));
    expect([other.code, other.message]).toEqual([status.ALREADY_EXISTS, "job 'twice' exists with another spec"]);
    await succeeded(mesh.mill.trainer.watch('twice'));
    expect((await mesh.mill.registry.getModel('twice')).versions).toHaveLength(1);
  });

  it('ends within seconds when it is cancelled, and leaves no version', async () => {
    const { status: job } = await mesh.mill.trainer.submit(smallSpec({ model: 'cancelled', epochs: 50_000 }));
    const id = job!.jobId;
    let last: trainer.TrainingJob | undefined;
    for await (const now of mesh.mill.trainer.watch(id)) {
      if (now.progress && !last?.progress) await mesh.mill.trainer.cancel(id);
      last = now;
    }
    expect(last?.status?.state?.$case).toBe('cancelled');
    const models = await mesh.mill.registry.listModels();
    expect(models.map(({ name }) => name)).not.toContain('cancelled');
  });

  it('goes on from a version by its label, and says so', async () => {
    const { version, metrics } = await finished(smallSpec({ layers: [], base: { version: 'stable' }, epochs: 2 }));
    expect(metrics['accuracy']).toBeGreaterThan(0.9);
    const made = await mesh.mill.registry.getVersion('digits', version);
    expect(made.lineage).toMatchObject({
      method: 'fine-tuned',
      parentVersion: '1',
      dataset: 'digits',
      datasetVersion: '1',
    });
  });

  it('is handed back by a trainer that stops, and goes on with the next', async () => {
    const { status: job } = await mesh.mill.trainer.submit(smallSpec({ model: 'handed', epochs: 300 }));
    await events.heard(new RegExp(`job\\.${job!.jobId}\\.checkpointed$`));
    await mesh.restart('trainer', 'SIGTERM');
    await succeeded(mesh.mill.trainer.watch(job!.jobId));
    expect((await mesh.mill.registry.getModel('handed')).versions).toHaveLength(1);
  });

  it('fails with the step at which the loss was no number', async () => {
    const deep = [1, 2, 3].map(() => ({ dense: { units: 64, activation: 'relu' } }));
    const spec = smallSpec({
      model: 'hopeless',
      data: { dataset: 'digits' },
      layers: [...deep, { dense: { units: 10 } }],
      optimizer: { sgd: { learning_rate: 1000 } },
    });
    await expect(finished(spec)).rejects.toThrow(/the loss is (NaN|Infinity) at step \d+ of 220/);
  });

  it.each<[string, Record<string, unknown>, number, string]>([
    ['an unknown dataset', { data: { dataset: 'nothing' } }, status.NOT_FOUND, "dataset 'nothing' does not exist"],
    ['an unknown version of it', { data: { dataset: 'digits', version: '9' } }, status.NOT_FOUND, "no version '9'"],
    ['an unknown base', { layers: [], base: { version: '77' } }, status.NOT_FOUND, "no version or label '77'"],
    ['an unknown teacher', { distillation: { version: 'best' } }, status.NOT_FOUND, "no version or label 'best'"],
    ['too large a batch', { batch_size: 2000 }, status.INVALID_ARGUMENT, 'at most the 1438 rows of the training split'],
    [
      'the wrong number of classes',
      { layers: [{ dense: { units: 9 } }] },
      status.INVALID_ARGUMENT,
      'gives [9] per example, wants [10]',
    ],
    ['the loss of numbers', { loss: 'mse' }, status.INVALID_ARGUMENT, "loss is 'mse', the target of dataset 'digits'"],
  ])('refuses %s', async (_, changes, code, message) => {
    const error = await rejection(mesh.mill.trainer.submit(smallSpec(changes)));
    expect(error).toBeInstanceOf(MillError);
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(message)]);
  });
});
