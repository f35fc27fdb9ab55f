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
      const { status } = await mesh.mill.optimizer.submit(parseOptimizationSpec({ ...spec, passes, max_drop: 0.5 }));
      const { metrics } = await succeeded(mesh.mill.optimizer.watch(status!.jobId));
      const { metrics: floats } = await mesh.mill.registry.getVersion('gpt', '1');
      console.log(`${method}: perplexity ${floats['perplexity']} to ${metrics['perplexity']}`);
      expect(metrics['perplexity']! / floats['perplexity']! - 1).toBeLessThanOrEqual(rise);
    });
  });

  describe('handwritten digits, 8,000 to learn from and 2,000 held out (needs ../shared/data/mnist-10k)', () => {
    const accuracies = new Map<string, number>();

    whereItIs(
      'are 98.7 % right (and within three minutes, where MILL_TEST_FIGURES says that the machine is at rest)',
      async () => {
        const begun = performance.now();
        await learn('quick', quick, 20);
        const seconds = (performance.now() - begun) / 1000;
        console.log(`${accuracies.get('quick')} in ${seconds} s`);
        expect(accuracies.get('quick')).toBeGreaterThanOrEqual(0.987);
        if (process.env['MILL_TEST_FIGURES']) expect(seconds).toBeLessThan(180);
      },
    );
    whenAsked('are 98.7 % right with a wider network (needs MILL_TEST_FIGURES)', async () => {
      await learn('mnist', wide, 18);
      expect(accuracies.get('mnist')).toBeGreaterThanOrEqual(0.987);
    });

    const [inEightBits, sixteenValues] = [{ passes: [{ quantize_static: {} }] }, { passes: [{ share_weights: {} }] }];
    // of 61,000 weights what a file needs besides is a share of its own
    whereItIs.each([
      ['in eight bits', inEightBits, 0.003, 0.32],
      ['with 16 values a layer', sixteenValues, 0.003, 0.18],
    ] as const)('are nearly as right %s', (_, how, points, share) => nearlyAsRight('quick', how, points, share));
    whenAsked.each([
      ['in eight bits', inEightBits, 0.003, 0.27],
      ['with 16 values a layer', sixteenValues, 0.003, 0.14],
      ['with 90 % zeros', { passes: [{ prune_magnitude: { sparsity: 0.9, finetune_epochs: 10 } }] }, 0.005, 0.21],
      ['twenty times smaller', { preset: 'compact' }, 0.007, 0.05],
    ] as const)('are nearly as right with the wider network %s (needs MILL_TEST_FIGURES)', (_, how, points, share) =>
      nearlyAsRight('mnist', how, points, share),
    );

    async function learn(model: string, layers: readonly object[], epochs: number): Promise<void> {
      if (accuracies.size === 0) await uploadMnist(mesh.mill);
      const { accuracy } = await trained({
        model,
        data: { dataset: 'mnist', normalize: 'minmax' },
        layers: [{ reshape: { shape: [1, 28, 28] } }, ...layers, { dense: { units: 10 } }],
        losses: [{ kind: 'cross_entropy', label_smoothing: 0.1 }],
        optimizer: {
          adam_w: { learning_rate: 0.003, weight_decay: 0.02 },
          decay_on: 'matrices',
          scheduled: { kind: 'one_cycle' },
          ema: 0.98,
        },
        epochs,
        batch_size: 64,
      });
      accuracies.set(model, accuracy!);
    }

    async function nearlyAsRight(model: string, how: object, points: number, share: number): Promise<void> {
      const { version, metrics } = await optimized(model, how);
      const [parent, made] = await Promise.all(['1', version].map((of) => mesh.mill.registry.getVersion(model, of)));
      const lost = accuracies.get(model)! - metrics['accuracy']!;
      const left = Number(made!.sizeBytes) / Number(parent!.sizeBytes);
      console.log(`${model} ${JSON.stringify(how)}: ${lost} lost, ${left} of the bytes`);
      expect(lost).toBeLessThanOrEqual(points);
      expect(left).toBeLessThanOrEqual(share);
    }

    whenAsked(
      'are nearly as right at half the multiply-adds, 1.6 times as fast (needs MILL_TEST_FIGURES)',
      async () => {
        const pass = { multiply_adds: 0.5, round_to: 16, parent_weight: 0.7, finetune_epochs: 8 };
        const { version, metrics } = await optimized('mnist', { passes: [{ prune_structured: pass }] });
        const [dense, cut] = await Promise.all(['1', version].map((of) => mesh.mill.optimizer.analyze('mnist', of)));
        const total = ({ layers }: NonNullable<typeof dense>) =>
          layers.reduce((sum, { multiplyAdds }) => sum + Number(multiplyAdds), 0);
        const left = total(cut!) / total(dense!);
        const lost = accuracies.get('mnist')! - metrics['accuracy']!;
        const faster = await timesFaster(mesh.mill, 'mnist', ['1', version], 1.6);
        console.log(`${left} of the multiply-adds: ${lost} lost, ${faster} times as fast`);
        expect(left).toBeLessThanOrEqual(0.5);
        expect(lost).toBeLessThanOrEqual(0.007);
        expect(faster).toBeGreaterThanOrEqual(1.6);
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

    async function optimized(model: string, how: object): Promise<jobs.JobSucceeded> {
      const spec = { model, version: '1', data: { dataset: 'mnist', normalize: 'minmax' } };
      const { status } = await mesh.mill.optimizer.submit(
        parseOptimizationSpec({ ...spec, ...how, max_accuracy_drop: 0.05 }),
      );
      return succeeded(mesh.mill.optimizer.watch(status!.jobId));
    }
  });
});

const conv = (filters: number, kernel: number, more: object = {}) => [
  { conv2d: { filters, kernel: [kernel], ...more } },
  { batch_norm: {} },
  { activation: { function: 'relu' } },
];
const pool = { max_pool2d: { kernel: [2] } };
const dropout = (rate: number) => ({ dropout: { rate } });
const dense = (units: number) => ({ dense: { units, activation: 'relu' } });

const valid = { padding: 'valid' };
/** 61,000 weights. */
const quick = [
  ...[...conv(16, 5, valid), pool, dropout(0.1)],
  ...[...conv(32, 3, valid), pool, dropout(0.2)],
  ...[...conv(64, 3, valid), dropout(0.3), { flatten: {} }],
  ...[dense(64), dropout(0.3)],
];

const stage = (filters: number) => [...conv(filters, 3), ...conv(filters, 3, { stride: [2] }), dropout(0.4)];
/** 468,000 weights. */
const wide = [...stage(32), ...stage(64), { flatten: {} }, dense(128), dropout(0.4)];
