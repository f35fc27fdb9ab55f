import { parseOptimizationSpec, parseTrainingSpec } from '@modelmill/client';
import type { jobs } from '@modelmill/client';
import { readExample, uploadDigits } from './digits.js';
import { succeeded } from './jobs.js';
import { hasSharedData, uploadMnist } from './mnist.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(1_800_000);

/** Minutes of fine-tuning each. */
const asked = process.env['MILL_TEST_FIGURES'] !== undefined;
const maxDrop = 0.005;
/** Two measurements of one version differ by less. */
const noise = 1.1;

const narrow = { prune_structured: { multiply_adds: 0.5, round_to: 16 } };
/** What someone who knows the field would write down, with each pass's defaults. */
const byHand = {
  'eight bits': [{ quantize_static: {} }],
  'eight bits while running': [{ quantize_dynamic: {} }],
  'half the multiply-adds': [narrow],
  'half the multiply-adds in eight bits': [narrow, { quantize_static: {} }],
};

describe('the fastest version within half a point that a search finds is as fast as the best by hand', () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh();
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  /** The accuracy it reached. */
  async function trained(spec: Record<string, unknown>): Promise<number> {
    const { status } = await mesh.mill.trainer.submit(parseTrainingSpec(spec));
    return (await succeeded(mesh.mill.trainer.watch(status!.jobId))).metrics['accuracy']!;
  }

  async function optimized(model: string, how: object): Promise<jobs.JobSucceeded> {
    const spec = { model, version: '1', data: { dataset: model, normalize: 'minmax' }, ...how };
    const { status } = await mesh.mill.optimizer.submit(parseOptimizationSpec(spec));
    return succeeded(mesh.mill.optimizer.watch(status!.jobId));
  }

  /** By how much each is faster than its parent, and what it lost. */
  const told = ({ metrics }: jobs.JobSucceeded, accuracy: number) => ({
    faster: metrics['speedup']!,
    lost: accuracy - metrics['accuracy']!,
  });

  async function raceOf(model: string, accuracy: number, seconds: number): Promise<void> {
    const hands: Record<string, ReturnType<typeof told>> = {};
    for (const [name, passes] of Object.entries(byHand)) {
      hands[name] = told(await optimized(model, { passes, max_accuracy_drop: 0.2 }), accuracy);
    }
    const goal = { optimize: 'fastest', time_budget_seconds: seconds };
    const found = told(await optimized(model, { goal, max_accuracy_drop: maxDrop }), accuracy);
    const best = Math.max(...Object.values(hands).map(({ faster, lost }) => (lost <= maxDrop ? faster : 1)));
    console.log(JSON.stringify({ model, accuracy, hands, found }));
    expect(found.lost).toBeLessThanOrEqual(maxDrop);
    expect({ hands, found, asFast: found.faster * noise >= best }).toMatchObject({ asFast: true });
  }

  it('for digits of 8x8', async () => {
    await uploadDigits(mesh.mill);
    const [spec] = readExample('digits-cnn.yaml');
    await raceOf('digits', await trained(spec as Record<string, unknown>), 120);
  });

  const reason = hasSharedData ? 'needs MILL_TEST_FIGURES' : 'needs ../shared/data/mnist-10k';
  (asked && hasSharedData ? it : it.skip)(`for digits of 28x28 (${reason})`, async () => {
    await uploadMnist(mesh.mill);
    const conv = (filters: number) => ({ conv2d: { filters, kernel: [3, 3], activation: 'relu' } });
    const accuracy = await trained({
      model: 'mnist',
      data: { dataset: 'mnist', normalize: 'minmax' },
      layers: [
        { reshape: { shape: [1, 28, 28] } },
        conv(32),
        conv(64),
        { max_pool2d: { kernel: [2, 2] } },
        { dropout: { rate: 0.25 } },
        { flatten: {} },
        { dense: { units: 128, activation: 'relu' } },
        { dropout: { rate: 0.4 } },
        { dense: { units: 10 } },
      ],
      optimizer: { adam: { learning_rate: 0.001 }, schedule: 'cosine' },
      epochs: 6,
      batch_size: 64,
      seed: 1,
    });
    await raceOf('mnist', accuracy, 420);
  });
});
