import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseOptimizationSpec, parseTrainingSpec } from '@modelmill/client';
import { succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(300_000);

const digits = resolve(__dirname, '../examples/data/digits.csv.gz');
const data = { dataset: 'digits', normalize: 'minmax' };
const conv = (filters: number) => [
  { conv2d: { filters, kernel: [3] } },
  { batch_norm: {} },
  { activation: { function: 'relu' } },
];

/** Training that hardly moves: what rounding alone makes of a model. */
const untrained = { finetune_epochs: 1, finetune_learning_rate: 1e-9 };

describe('passes that train what they made', () => {
  let mesh: Mesh;
  let parent: Readonly<Record<string, number>>;
  beforeAll(async () => {
    mesh = await startMesh();
    await mesh.mill.datasets.upload({ dataset: 'digits', content: readFileSync(digits) });
    const spec = {
      model: 'digits',
      data,
      layers: [
        { reshape: { shape: [1, 8, 8] } },
        ...conv(8),
        ...conv(16),
        { max_pool2d: { kernel: [2] } },
        { flatten: {} },
        { dense: { units: 32, activation: 'relu' } },
        { dense: { units: 10 } },
      ],
      optimizer: { adam: { learning_rate: 0.003 }, schedule: 'cosine' },
      epochs: 20,
      batch_size: 32,
      seed: 1,
    };
    const { status } = await mesh.mill.trainer.submit(parseTrainingSpec(spec));
    parent = (await succeeded(mesh.mill.trainer.watch(status!.jobId))).metrics;
    expect(parent['accuracy']).toBeGreaterThan(0.97);
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  const made = (...passes: object[]) => madeBy({ passes });

  async function madeBy(how: object) {
    const spec = parseOptimizationSpec({ model: 'digits', version: '1', data, ...how, max_accuracy_drop: 1 });
    const { status } = await mesh.mill.optimizer.submit(spec);
    const { version } = await succeeded(mesh.mill.optimizer.watch(status!.jobId));
    return { jobId: status!.jobId, ...(await mesh.mill.registry.getVersion('digits', version)) };
  }

  /** What the trainer measured at the end of a job's training. */
  async function trainedIn(jobId: string) {
    const { status } = await mesh.mill.trainer.get(`${jobId}-pass0`);
    return status?.state?.$case === 'succeeded' ? status.state.succeeded.metrics : {};
  }

  it('win back what rounding to three values takes, and answer as they were trained', async () => {
    const rounded = await made({ quantize_aware: { bits: 2, ...untrained } });
    const aware = await made({ quantize_aware: { bits: 2 } });
    expect(rounded.metrics['accuracy']).toBeLessThan(parent['accuracy']! - 0.05);
    expect(aware.metrics['accuracy']).toBeGreaterThan(parent['accuracy']! - 0.025);
    for (const { jobId, metrics } of [rounded, aware]) {
      const trained = await trainedIn(jobId);
      expect(Math.abs(trained['accuracy']! - metrics['accuracy']!)).toBeLessThanOrEqual(0.006); // two rows of 359
    }
    const inBytes = await made({ quantize_static: {} }); // here they are two to a byte
    expect(Number(inBytes.sizeBytes - aware.sizeBytes)).toBeGreaterThan(0.4 * aware.metrics['parameters']!);
  });

  it('keep what eight bits have, as a version that is not trained further', async () => {
    const { version, metrics } = await made({ quantize_aware: { finetune_epochs: 4 } });
    expect(metrics['accuracy']).toBeGreaterThan(parent['accuracy']! - 0.006);
    const again = parseTrainingSpec({ model: 'digits', data, base: { version }, epochs: 1 });
    await expect(mesh.mill.trainer.submit(again)).rejects.toThrow(
      /the base cannot be trained: .* reads integers that are stored: a quantized model has no weights to train/,
    );
  });

  it('move shared values to where all their weights want them', async () => {
    const [found, trained] = [{}, { finetune_epochs: 5 }].map((more) => ({ share_weights: { clusters: 4, ...more } }));
    const before = await made(found!);
    const after = await made(trained!);
    expect(after.metrics['accuracy']).toBeGreaterThan(before.metrics['accuracy']! + 0.05);
    expect(Number(after.sizeBytes)).toBeLessThan(Number(before.sizeBytes) + 100);
  });

  it('come one after the other where a preset asks for them', async () => {
    const { lineage, metrics, sizeBytes } = await madeBy({ preset: 'compact' });
    expect(lineage!.method).toMatch(/^pruned .* % of the channels.*shared weights of 16 values$/);
    expect(metrics['accuracy']).toBeGreaterThan(parent['accuracy']! - 0.05);
    const { sizeBytes: before } = await mesh.mill.registry.getVersion('digits', '1');
    expect(Number(sizeBytes)).toBeLessThan(0.25 * Number(before)); // of a small file, names are the most
  });

  it('keep the zeros of what was pruned among shared values', async () => {
    const short = { finetune_epochs: 3 };
    const { metrics } = await made(
      { prune_magnitude: { sparsity: 0.6, ...short } },
      { share_weights: { clusters: 8, ...short } },
    );
    expect(metrics['accuracy']).toBeGreaterThan(parent['accuracy']! - 0.03);
    expect(metrics['sparsity']).toBeGreaterThan(0.6);
  });

  it('train what simplifying leaves, and compute with it in halves', async () => {
    const simple = await made({ simplify: {} });
    expect(simple.lineage!.method).toBe('simplified');
    expect(Math.abs(simple.metrics['accuracy']! - parent['accuracy']!)).toBeLessThanOrEqual(0.003); // a row of 359
    const halves = await made(
      { simplify: {} },
      { prune_magnitude: { sparsity: 0.5, finetune_epochs: 4 } },
      { compute_halves: {} },
    );
    expect(halves.lineage!.method).toBe('simplified, then pruned 50 %, then computed in halves');
    expect(halves.metrics['accuracy']).toBeGreaterThan(parent['accuracy']! - 0.02);
    expect(halves.metrics['sparsity']).toBeCloseTo(0.5, 2);
    expect(Number(halves.sizeBytes)).toBeLessThan(0.6 * Number(simple.sizeBytes));
    const { metrics, signature } = await made({ compute_halves: { convert_io: true } });
    expect([...signature!.inputs, ...signature!.outputs].map(({ datatype }) => datatype)).toEqual(['FP16', 'FP16']);
    expect(Math.abs(metrics['accuracy']! - parent['accuracy']!)).toBeLessThanOrEqual(0.006);
    await expect(made({ simplify: {} }, { simplify: {} })).rejects.toThrow(
      /there is nothing to simplify: every node and constant is needed as it is/,
    );
  });
});
