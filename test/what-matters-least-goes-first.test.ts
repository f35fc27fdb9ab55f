import { parseOptimizationSpec, parseTrainingSpec } from '@modelmill/client';
import { uploadDigits } from './digits.js';
import { succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(400_000);

describe('what matters least of a network goes first', () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh();
    await uploadDigits(mesh.mill);
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  async function train(model: string, layers: object[], epochs: number): Promise<void> {
    const spec = { model, data: { dataset: 'digits', normalize: 'minmax' }, layers, epochs, seed: 1 };
    const { status } = await mesh.mill.trainer.submit(parseTrainingSpec(spec));
    await succeeded(mesh.mill.trainer.watch(status!.jobId));
  }

  async function optimize(model: string, passes: object[]) {
    const spec = { model, version: '1', data: { dataset: 'digits' }, passes, max_accuracy_drop: 0.05 };
    const { status } = await mesh.mill.optimizer.submit(parseOptimizationSpec(spec));
    const done = await succeeded(mesh.mill.optimizer.watch(status!.jobId));
    return { ...done, jobId: status!.jobId };
  }

  const layersOf = async (model: string, version: string) =>
    (await mesh.mill.optimizer.analyze(model, version)).layers.filter(({ opType }) => /Conv|Gemm|MatMul/.test(opType));

  it('channels by their gradients in two parts, then weights step by step as their layers are asked', async () => {
    const conv = { kernel: [3, 3], padding: 'same' };
    await train(
      'digits',
      [
        { reshape: { shape: [1, 8, 8] } },
        { conv2d: { filters: 16, ...conv } },
        { batch_norm: {} },
        { activation: { function: 'relu' } },
        { max_pool2d: { kernel: [2, 2] } },
        { flatten: {} },
        { dense: { units: 32, activation: 'relu' } },
        { dense: { units: 10 } },
      ],
      6,
    );
    const { jobId, version, metrics } = await optimize('digits', [
      {
        prune_structured: {
          ratio: 0.25,
          importance: 'taylor',
          importance_batches: 5,
          iterative: 2,
          finetune_epochs: 4,
        },
      },
      {
        prune_magnitude: {
          sparsity: 0.8,
          layers: [{ match: 'layer1*', sparsity: 0 }],
          gradual: { initial_sparsity: 0.2, end: 0.5, every: 5 },
          finetune_epochs: 4,
        },
      },
    ]);
    expect(metrics['accuracy']).toBeGreaterThan(0.9);
    const [convolution, ...dense] = await layersOf('digits', version);
    expect(convolution!.sparsity).toBe(0);
    const [p1, p2] = dense.map(({ parameters }) => Number(parameters)) as [number, number];
    const neurons = (p2 - 10) / 10;
    const count = p1 - neurons + p2 - 10; // biases stay
    const zeros = dense.reduce((sum, { parameters, sparsity }) => sum + Math.round(Number(parameters) * sparsity), 0);
    expect(zeros).toBe(count - Math.round(0.2 * count));
    const trainings = (await mesh.mill.trainer.list()).map(({ status }) => status!.jobId);
    const own = trainings.filter((id) => id.startsWith(jobId)).sort();
    expect(own).toEqual(['-pass0', '-pass0-1', '-pass0-2', '-pass0-3', '-pass1'].map((end) => `${jobId}${end}`));
    const { lineage } = (await mesh.mill.registry.getVersion('digits', version))!;
    expect(lineage!.method).toBe('pruned 25 % of the channels, then pruned 80 % gradually');
  });

  it('attention heads and neurons of an encoder, whose answers stay right', async () => {
    await train(
      'encoder',
      [
        { reshape: { shape: [8, 8] } },
        { dense: { units: 16 } },
        { transformer_block: { heads: 4 } },
        { flatten: {} },
        { dense: { units: 10 } },
      ],
      15,
    );
    const { version, metrics } = await optimize('encoder', [
      { prune_structured: { ratio: 0.4, parent_weight: 0.7, finetune_epochs: 8 } },
    ]);
    const [before, after] = await Promise.all(['1', version].map((of) => layersOf('encoder', of)));
    const sizes = (layers: typeof before) => layers!.map(({ parameters }) => Number(parameters));
    const [dense, cut] = [sizes(before), sizes(after)];
    expect(dense.slice(0, 3)).toEqual([9 * 16, 17 * 48, 17 * 16]);
    const width = cut[0]! / 9;
    const heads = cut[1]! / (3 * 4 * (width + 1));
    expect([1, 2, 3]).toContain(heads);
    expect(cut[2]).toBe(4 * heads * width + width);
    expect(metrics['accuracy']).toBeGreaterThan(0.85);
  });
});
