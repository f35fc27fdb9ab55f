import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { trainer } from '@modelmill/contracts';
import { readOnnx } from '@modelmill/onnx';
import { trainInChild } from './train-in-child.js';
import type { FromTraining, TrainingOrder } from './training-messages.js';
import { planTraining } from './training-plan.js';
import { vulkanEnvironment } from './vulkan-for-tests.js';

jest.setTimeout(600_000);

const environment = vulkanEnvironment(process.env);
const digits = fileURLToPath(new URL('../../../examples/data/digits.csv.gz', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'mill-webgpu-'));
afterAll(() => rmSync(folder, { recursive: true }));

type Spec = Parameters<typeof trainer.TrainingSpec.fromPartial>[0];
type Provider = 'cpu' | 'webgpu';

const ofDigits = {
  path: digits,
  format: { kind: 'csv', header: false, target: '' },
  splits: { train: 0.8, validation: 0, test: 0.2, seed: '0' },
} as const;
const ofText = { ...ofDigits, path: join(folder, 'sayings.txt'), format: { kind: 'text' } } as const;
writeFileSync(ofText.path, 'to be or not to be, that is the question; '.repeat(60));

/** Six channels into eight; no bias before a normalization, whose gradient is 0 and which Adam would move by noise. */
const cnn: Spec = {
  data: { dataset: 'digits', normalize: 'minmax' },
  layers: [
    { kind: { $case: 'reshape', reshape: { shape: [1n, 8n, 8n] } } },
    { kind: { $case: 'conv2d', conv2d: { filters: 6, kernel: [3, 3], padding: 'same', withoutBias: true } } },
    { kind: { $case: 'batchNorm', batchNorm: {} } },
    { kind: { $case: 'activation', activation: { function: 'relu' } } },
    { kind: { $case: 'maxPool2d', maxPool2d: { kernel: [2, 2] } } },
    { kind: { $case: 'conv2d', conv2d: { filters: 8, kernel: [3, 3], activation: 'relu' } } },
    { kind: { $case: 'flatten', flatten: {} } },
    { kind: { $case: 'dropout', dropout: { rate: 0.2 } } },
    { kind: { $case: 'dense', dense: { units: 10 } } },
  ],
};
/** Pools that tile their input and such that overlap, of numbers of either sign. */
const pooled: Spec = {
  ...cnn,
  layers: [
    { kind: { $case: 'reshape', reshape: { shape: [1n, 8n, 8n] } } },
    { kind: { $case: 'conv2d', conv2d: { filters: 4, kernel: [3, 3], padding: 'same' } } },
    { kind: { $case: 'maxPool2d', maxPool2d: { kernel: [2, 2] } } },
    { kind: { $case: 'maxPool2d', maxPool2d: { kernel: [3, 3], stride: [1, 1] } } },
    { kind: { $case: 'flatten', flatten: {} } },
    { kind: { $case: 'dense', dense: { units: 10 } } },
  ],
};
const gathered: Spec = {
  ...cnn,
  optimizer: { kind: { $case: 'adam', adam: { learningRate: 0.005 } }, accumulate: 3 },
};
const transformer: Spec = {
  data: { dataset: 'sayings', context: 16 },
  preset: { kind: { $case: 'gpt', gpt: { layers: 2, heads: 2, width: 16, dropout: 0.1 } } },
};

function train(spec: Spec, provider: Provider, changes: Partial<TrainingOrder> = {}) {
  const whole = trainer.TrainingSpec.fromPartial({
    model: 'm',
    optimizer: { kind: { $case: 'adam', adam: { learningRate: 0.005 } }, clipNorm: 1 },
    steps: 20n,
    evaluateEvery: 10,
    batchSize: 16,
    seed: 7n,
    provider,
    ...spec,
  });
  return follow({
    plan: planTraining(whole),
    inputs: { datasetVersion: '1' },
    dataset: ofDigits,
    loss: [{ kind: 'cross_entropy' }],
    basePath: undefined,
    teacherPath: undefined,
    checkpointPath: undefined,
    folder: mkdtempSync(join(folder, 'training-')),
    threads: 1,
    checkpointMs: 1_000_000,
    scanned: false,
    ...changes,
  });
}

async function follow(order: TrainingOrder) {
  const messages: FromTraining[] = [];
  const signal = AbortSignal.timeout(200_000);
  await trainInChild(order, { signal, ...(environment ? { environment } : {}) }, async (message) => {
    messages.push(message);
  });
  const done = messages.find((message) => message.kind === 'done');
  if (!done) throw new Error(JSON.stringify(messages.at(-1)));
  const lines = readFileSync(done.historyPath, 'utf8').trimEnd().split('\n');
  const history = lines.map((line) => JSON.parse(line) as Record<string, number>);
  return {
    ...done,
    messages,
    losses: history.flatMap((line) => ('gradient_norm' in line ? [line['loss']!] : [])),
    resident: messages.flatMap((message) => (message.kind === 'progress' ? [message.progress] : [])),
    weights: readOnnx(readFileSync(done.path)).graph.initializers,
  };
}

const furthest = (a: readonly number[], b: readonly number[]) => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));

const title = 'a training on WebGPU';
if (environment === undefined) {
  describe(title, () => it.skip('skipped: needs a Vulkan device', () => {}));
} else {
  describe(title, () => {
    it.each([
      ['convolutional network', cnn, {}],
      ['network whose pools give positions', pooled, {}],
      ['network that gathers gradients', gathered, {}],
      ['transformer', transformer, { dataset: ofText }],
    ] as const)('gives a %s the losses it has on the CPU', async (_, spec, changes) => {
      const [there, here] = [await train(spec, 'webgpu', changes), await train(spec, 'cpu', changes)];
      expect(there.losses).toHaveLength(20);
      expect(furthest(there.losses, here.losses)).toBeLessThan(1e-3);
      expect(there.losses).not.toEqual(here.losses); // as exact as another order of sums, not the same arithmetic
      expect(Math.abs(there.metrics['loss']! - here.metrics['loss']!)).toBeLessThan(1e-3);
      expect([...there.weights.keys()]).toEqual([...here.weights.keys()]);
    });

    it('goes on from a checkpoint, and from one of the CPU', async () => {
      const whole = await train(cnn, 'webgpu', { checkpointMs: 0 });
      const half = whole.messages.find((message) => message.kind === 'checkpoint' && message.step === 5);
      const { path } = half as { path: string };
      for (const provider of ['webgpu', 'cpu'] as const) {
        const resumed = await train(cnn, provider, { checkpointPath: path });
        expect(furthest(resumed.losses, whole.losses)).toBeLessThan(1e-3);
      }
    });

    it('keeps its memory over 200 steps', async () => {
      const layers: Spec['layers'] = [400, 100, 10].map((units) => ({ kind: { $case: 'dense', dense: { units } } }));
      const { resident } = await train({ ...cnn, layers, steps: 200n, evaluateEvery: 100 }, 'webgpu');
      const at = (step: number) => resident.find((report) => report.step >= step)!.residentBytes;
      // state left behind would be 0.8 MB at every step: 67,510 weights and two averages of each
      expect(at(190) - at(40)).toBeLessThan(40e6);
    });
  });
}
