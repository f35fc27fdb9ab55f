import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseOptimizationSpec, parseTrainingSpec } from '@modelmill/client';
import type { jobs } from '@modelmill/client';
import { readExample } from './digits.js';
import { succeeded } from './jobs.js';
import { hasSharedData, sharedData, uploadMnist } from './mnist.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';
import { timesFaster } from './times-faster.js';

jest.setTimeout(900_000);

const whereItIs = hasSharedData ? it : it.skip;
/** Minutes of fine-tuning each. */
const whenAsked = hasSharedData && process.env['MILL_TEST_FIGURES'] ? it : it.skip;

describe('figures that others publish are reached', () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh();
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  async function trained(spec: Record<string, unknown>): Promise<Readonly<Record<string, number>>> {
    const { status } = await mesh.mill.trainer.submit(parseTrainingSpec({ seed: 1, ...spec }));
    return (await succeeded(mesh.mill.trainer.watch(status!.jobId))).metrics;
  }

  whereItIs('wine: 97 % of a fixed fifth (needs ../shared/data/wine)', async () => {
    const [, ...rows] = readFileSync(resolve(sharedData, 'wine/wine.csv'), 'utf8').trim().split('\n');
    await mesh.mill.datasets.upload({ dataset: 'wine', content: Buffer.from(rows.join('\n')) });
    const metrics = await trained({
      model: 'wine',
      data: { dataset: 'wine', normalize: 'standard' },
      preset: { mlp: { hidden: [32] } },
      optimizer: { adam: { learning_rate: 0.01 }, schedule: 'cosine' },
      epochs: 60,
      batch_size: 16,
    });
    expect(metrics['accuracy']).toBeGreaterThanOrEqual(0.97);
  });

  whereItIs('California housing: R2 0.80 of a fixed fifth (needs ../shared/data/california-housing)', async () => {
    const [names, ...rows] = readFileSync(resolve(sharedData, 'california-housing/housing.csv'), 'utf8')
      .trim()
      .split('\n');
    const inHundredThousands = rows.map((row) =>
      row
        .split(',')
        .map((cell, at) => (at === 8 ? Number(cell) / 100_000 : cell))
        .join(','),
    );
    await mesh.mill.datasets.upload({
      dataset: 'housing',
      content: Buffer.from([names, ...inHundredThousands].join('\n')),
      format: { $case: 'csv', csv: { header: true, target: 'median_house_value', columns: { missing: 'median' } } },
    });
    const metrics = await trained({
      model: 'prices',
      data: { dataset: 'housing', normalize: 'standard' },
      preset: { mlp: { hidden: [128, 128] } },
      losses: [{ kind: 'huber' }],
      optimizer: { adam_w: { learning_rate: 0.004, weight_decay: 0.01 }, scheduled: { kind: 'one_cycle' }, ema: 0.99 },
      epochs: 40,
      batch_size: 128,
    });
    expect(metrics['r2']).toBeGreaterThanOrEqual(0.8);
  });

  describe('tiny Shakespeare, a character at a time (needs MILL_TEST_FIGURES and ../shared/data/tinyshakespeare)', () => {
    whenAsked('is read by examples/language-model.yaml with a validation loss of 1.88 or less', async () => {
      const text = readFileSync(resolve(sharedData, 'tinyshakespeare/input.txt'));
      await mesh.mill.datasets.upload({
        dataset: 'shakespeare',
        content: text,
        format: { $case: 'text', text: {} },
        splits: { train: 0.9, validation: 0.1, test: 0, seed: 0n },
      });
      const [example] = readExample('language-model.yaml') as Record<string, object>[];
      const { loss } = await trained({
        ...example,
        model: 'gpt',
        data: { ...example!['data'], dataset: 'shakespeare' },
      });
      expect(loss).toBeLessThanOrEqual(1.88);
    });

    // the first is the one the others are held against: no bound was asked for it
    whenAsked.each([
      ['nearest', 0.05],
      ['hqq', 0.02],
      ['gptq', 0.02],
    ])('has at most so much more perplexity in 4 bits, %s: %d', async (method, rise) => {
      const spec = { model: 'gpt', version: '1', data: { dataset: 'shakespeare', context: 64 } };
      const passes = [{ quantize_weights: { method } }];
      const { status } = await mesh.mill.optimizer.submit(
        parseOptimizationSpec({ ...spec, passes, max_accuracy_drop: 0.05 }),
      );
      const { metrics } = await succeeded(mesh.mill.optimizer.watch(status!.jobId));
      const { metrics: floats } = await mesh.mill.registry.getVersion('gpt', '1');
      console.log(`${method}: perplexity ${floats['perplexity']} to ${metrics['perplexity']}`);
      expect(metrics['perplexity']! / floats['perplexity']! - 1).toBeLessThanOrEqual(rise);
    });
  });

  describe('handwritten digits, 8,000 to learn from and 2,000 held out (needs ../shared/data/mnist-10k)', () => {
    let accuracy = 0;

    whereItIs('are 98.7 % right', async () => {
      accuracy = (await learnHandwriting())['accuracy']!;
      expect(accuracy).toBeGreaterThanOrEqual(0.987);
    });

    whereItIs.each([
      ['in eight bits', { passes: [{ quantize_static: {} }] }, 0.003, 0.27],
      ['with 16 values a layer', { passes: [{ share_weights: {} }] }, 0.003, 0.14],
    ])('are nearly as right %s', (_, how, points, share) => nearlyAsRight(how, points, share));

    whenAsked.each([
      ['with 90 % zeros', { passes: [{ prune_magnitude: { sparsity: 0.9, finetune_epochs: 10 } }] }, 0.005, 0.21],
      ['twenty times smaller', { preset: 'compact' }, 0.007, 0.05],
    ])('are nearly as right %s (needs MILL_TEST_FIGURES)', (_, how, points, share) =>
      nearlyAsRight(how, points, share),
    );

    async function nearlyAsRight(how: object, points: number, share: number): Promise<void> {
      const { version, metrics } = await optimized(how);
      const [parent, made] = await Promise.all(['1', version].map((of) => mesh.mill.registry.getVersion('mnist', of)));
      expect(accuracy - metrics['accuracy']!).toBeLessThanOrEqual(points);
      expect(Number(made!.sizeBytes) / Number(parent!.sizeBytes)).toBeLessThanOrEqual(share);
    }

    whenAsked(
      'are nearly as right at half the multiply-adds, 1.6 times as fast (needs MILL_TEST_FIGURES)',
      async () => {
        const pass = { multiply_adds: 0.5, round_to: 16, parent_weight: 0.7, finetune_epochs: 8 };
        const { version, metrics } = await optimized({ passes: [{ prune_structured: pass }] });
        const [dense, cut] = await Promise.all(['1', version].map((of) => mesh.mill.optimizer.analyze('mnist', of)));
        const total = ({ layers }: NonNullable<typeof dense>) =>
          layers.reduce((sum, { multiplyAdds }) => sum + Number(multiplyAdds), 0);
        expect(total(cut!) / total(dense!)).toBeLessThanOrEqual(0.5);
        expect(accuracy - metrics['accuracy']!).toBeLessThanOrEqual(0.007);
        expect(await timesFaster(mesh.mill, 'mnist', ['1', version], 1.6)).toBeGreaterThanOrEqual(1.6);
      },
    );

    whenAsked(
      'teach a network of a twentieth of the weights more than it learns alone, in the mean of 5 seeds (needs MILL_TEST_FIGURES)',
      async () => {
        const student = {
          model: 'student',
          data: { dataset: 'mnist', normalize: 'minmax' },
          layers: [{ flatten: {} }, { dense: { units: 29, activation: 'relu' } }, { dense: { units: 10 } }],
          optimizer: { adam: { learning_rate: 0.002 }, scheduled: { kind: 'cosine' } },
          epochs: 60,
          batch_size: 64,
        };
        const alone = await ofFiveSeeds({ ...student, losses: [{ kind: 'cross_entropy' }] });
        const distillation = { model: 'mnist', version: '1', temperature: 4, mix: 0.9 };
        const taught = await ofFiveSeeds({ ...student, distillation });
        const [teacher, small] = await Promise.all(
          ['mnist', 'student'].map((model) => mesh.mill.registry.getVersion(model, '1')),
        );
        expect(small!.metrics['parameters']! / teacher!.metrics['parameters']!).toBeLessThanOrEqual(1 / 20);
        console.log(`alone ${JSON.stringify(alone)}, taught ${JSON.stringify(taught)}`);
        expect(taught['mean']).toBeGreaterThan(alone['mean']!);
      },
    );

    async function ofFiveSeeds(spec: Record<string, unknown>): Promise<Readonly<Record<string, number>>> {
      const seen: number[] = [];
      for (let seed = 1; seed <= 5; seed++) seen.push((await trained({ ...spec, seed }))['accuracy']!);
      const [least, most] = [Math.min(...seen), Math.max(...seen)];
      return { mean: seen.reduce((a, b) => a + b) / seen.length, least, most };
    }

    async function optimized(how: object): Promise<jobs.JobSucceeded> {
      const spec = { model: 'mnist', version: '1', data: { dataset: 'mnist', normalize: 'minmax' } };
      const { status } = await mesh.mill.optimizer.submit(
        parseOptimizationSpec({ ...spec, ...how, max_accuracy_drop: 0.05 }),
      );
      return succeeded(mesh.mill.optimizer.watch(status!.jobId));
    }
  });

  async function learnHandwriting(): Promise<Readonly<Record<string, number>>> {
    await uploadMnist(mesh.mill);
    const conv = (filters: number, stride: number) => [
      { conv2d: { filters, kernel: [3], stride: [stride] } },
      { batch_norm: {} },
      { activation: { function: 'relu' } },
    ];
    const stage = (filters: number) => [...conv(filters, 1), ...conv(filters, 2), { dropout: { rate: 0.4 } }];
    return trained({
      model: 'mnist',
      data: { dataset: 'mnist', normalize: 'minmax' },
      layers: [
        { reshape: { shape: [1, 28, 28] } },
        ...stage(32),
        ...stage(64),
        { flatten: {} },
        { dense: { units: 128, activation: 'relu' } },
        { dropout: { rate: 0.4 } },
        { dense: { units: 10 } },
      ],
      losses: [{ kind: 'cross_entropy', label_smoothing: 0.1 }],
      optimizer: {
        adam_w: { learning_rate: 0.003, weight_decay: 0.02 },
        decay_on: 'matrices',
        scheduled: { kind: 'one_cycle' },
        ema: 0.98,
      },
      epochs: 18,
      batch_size: 64,
    });
  }
});
