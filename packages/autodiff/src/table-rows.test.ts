import { buildLayers } from './build-layers.js';
import { numbers, runnable } from './run-for-tests.js';
import type { Feeds } from './run-for-tests.js';
import type { OptimizerSpec } from './step-options.js';
import { trainingStep } from './training-step.js';

const [vocabulary, width, batchSize, time] = [2100, 64, 32, 64];
const { forward } = buildLayers(
  [
    { kind: 'embedding', vocabulary, width },
    { kind: 'pool_time', how: 'mean' },
    { kind: 'dense', units: 2 },
  ],
  {
    featureShape: [time],
    tokens: { vocabulary },
    random: (stream, count) => numbers(count, { low: 0.001, seed: stream + 1 }),
    name: 'words',
  },
);

const step = (optimizer: OptimizerSpec, rest: { readonly columns?: boolean; readonly clipNorm?: number }) =>
  trainingStep(forward, {
    batchSize,
    exampleShape: [time],
    loss: { kind: 'cross_entropy' },
    optimizer,
    ...rest,
  });

const scalar = (value: number) => ({ dims: [], data: Float32Array.of(value) });
const adam = { kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 } as const;

/** Loss, norm and state after three steps; each reads other rows, some of them many times. */
async function after(form: ReturnType<typeof step>) {
  const run = await runnable(form.model);
  const { features, targets, learningRate, corrections } = form.inputs;
  let state: Feeds = Object.fromEntries(form.state.map(({ input, dims, initial }) => [input, { dims, data: initial }]));
  let outputs: Record<string, Float32Array> = {};
  for (let t = 1; t <= 3; t++) {
    const tokens = BigInt64Array.from({ length: batchSize * time }, (_, i) => BigInt((i * i * t) % vocabulary));
    outputs = await run({
      [features]: { dims: [batchSize, time], data: tokens },
      [targets]: { dims: [batchSize], data: BigInt64Array.from({ length: batchSize }, (_, i) => BigInt(i % 2)) },
      [learningRate]: scalar(0.1),
      ...(corrections
        ? { [corrections.c1]: scalar(1 / (1 - 0.9 ** t)), [corrections.c2]: scalar(1 / (1 - 0.999 ** t)) }
        : {}),
      ...state,
    });
    state = Object.fromEntries(form.state.map(({ input, output, dims }) => [input, { dims, data: outputs[output]! }]));
  }
  return outputs;
}

/** ScatterND nodes by what they do to what is there. */
const scatters = ({ model }: ReturnType<typeof step>) =>
  model.graph.nodes
    .filter(({ opType }) => opType === 'ScatterND')
    .map(({ attributes }) => (attributes.has('reduction') ? 'adds' : 'sets'));

describe('the rows of a large table that a batch read', () => {
  it.each<[string, OptimizerSpec, number?]>([
    ['Adam', adam],
    ['Adam, clipped', adam, 0.001],
    ['momentum', { kind: 'sgd', momentum: 0.9, nesterov: false }],
    ['Nesterov momentum', { kind: 'sgd', momentum: 0.9, nesterov: true }],
    ['plain descent', { kind: 'sgd', momentum: 0, nesterov: false }],
    ['RMSprop', { kind: 'rms_prop', decay: 0.99, epsilon: 1e-8, momentum: 0.9 }],
    ['Adagrad', { kind: 'adagrad', epsilon: 1e-8 }],
    ['Lion', { kind: 'lion', beta1: 0.9, beta2: 0.99, weightDecay: 0 }],
  ])('are moved by %s as the table would be as a whole', async (_, optimizer, clipNorm = 0) => {
    const [rows, whole] = [step(optimizer, { clipNorm, columns: true }), step(optimizer, { clipNorm })];
    const [got, wanted] = [await after(rows), await after(whole)];
    for (const [name, values] of Object.entries(wanted)) {
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const off = values.reduce((most, value, i) => Math.max(most, Math.abs(value - got[name]![i]!)), 0);
      expect(largest).toBeGreaterThan(0);
      expect({ name, off: off / largest }).toEqual({ name, off: expect.closeTo(0, 5) });
    }
  });

  it('are added up among themselves in a step for the CPU, and each mean of Adam takes them once', () => {
    expect(scatters(step(adam, { columns: true }))).toEqual(['sets', 'adds', 'adds', 'sets', 'sets']);
    expect(scatters(step(adam, {}))).toEqual(['adds', 'adds']);
  });
});
