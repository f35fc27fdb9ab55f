import { buildLayers } from '../build-layers.js';
import type { LayerSpec } from '../layer-spec.js';
import { numbers, runnable } from '../run-for-tests.js';
import type { Feeds } from '../run-for-tests.js';
import { trainingStep } from '../training-step.js';

const random = (stream: number, count: number) => numbers(count, { low: 0, high: 1, seed: stream + 5 });
const batch = 3;
const scalar = (value: number) => ({ dims: [], data: Float32Array.of(value) });

/** Central differences of the loss in ONNX Runtime against the gradients of the step. */
async function check(layers: readonly LayerSpec[], featureShape: readonly number[], vocabulary = 0): Promise<void> {
  const tokens = vocabulary > 0 ? { tokens: { vocabulary } } : {};
  const { forward } = buildLayers(layers, { featureShape, ...tokens, random, name: 'net' });
  const step = trainingStep(forward, {
    batchSize: batch,
    exampleShape: featureShape,
    loss: { kind: 'cross_entropy' },
    optimizer: { kind: 'sgd', momentum: 0, nesterov: false },
  });
  const count = batch * featureShape.reduce((a, b) => a * b);
  const targets = step.model.graph.inputs.find(({ name }) => name === step.inputs.targets)!.shape as number[];
  const places = targets.reduce((a, b) => a * b);
  const feeds: Record<string, Feeds[string]> = {
    [step.inputs.features]: {
      dims: [batch, ...featureShape],
      data:
        vocabulary > 0 ? BigInt64Array.from({ length: count }, (_, i) => BigInt((i * 5) % vocabulary)) : numbers(count),
    },
    [step.inputs.targets]: { dims: targets, data: BigInt64Array.from({ length: places }, (_, i) => BigInt(i % 3)) },
    [step.inputs.learningRate]: scalar(1),
    ...Object.fromEntries(step.state.map(({ input, dims, initial }) => [input, { dims, data: initial }])),
    ...Object.fromEntries(
      step.inputs.dropout.map(({ name, shape }) => {
        const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => (i % 3 === 0 ? 0 : 1.5));
        return [name, { dims: shape, data }];
      }),
    ),
  };
  const run = await runnable(step.model);
  const after = await run(feeds);
  const weights = step.state.filter(({ kind }) => kind === 'weight');
  let steep = 0;
  for (const { input, output, dims, initial } of weights) {
    for (let i = 0; i < initial.length; i += Math.ceil(initial.length / 5)) {
      const lossAt = async (by: number) => {
        const moved = { dims, data: initial.map((value, at) => (at === i ? value + by : value)) };
        return (await run({ ...feeds, [input]: moved }))[step.outputs.loss]![0]!;
      };
      const wanted = ((await lossAt(1 / 128)) - (await lossAt(-1 / 128))) * 64;
      const got = initial[i]! - after[output]![i]!;
      expect({ input, i, got }).toEqual({ input, i, got: expect.closeTo(wanted, 2) });
      steep += Number(Math.abs(wanted) > 0.01);
    }
  }
  expect(steep).toBeGreaterThan(weights.length / 2);
}

const head: LayerSpec[] = [{ kind: 'flatten' }, { kind: 'dense', units: 3 }];
const epsilon = 1e-5;
const signal = [4, 9];
const text = [5, 4];
const conv1d = { kind: 'conv1d', filters: 4, kernel: 3, stride: 1, groups: 1, dilation: 1, padding: 'same' } as const;
const conv2d = { kind: 'conv2d', filters: 4, kernel: [3, 3], stride: [2, 2], padding: 'same', groups: 1 } as const;
const dense: LayerSpec = { kind: 'dense', units: 4 };
const dense1: LayerSpec = { kind: 'dense', units: 4, activation: 'tanh' };
const attention = { kind: 'multi_head_attention', heads: 2, causal: true, dropout: 0.1 } as const;
const block = {
  kind: 'transformer_block',
  heads: 2,
  causal: false,
  mlpRatio: 2,
  activation: 'gelu',
  dropout: 0.1,
} as const;

describe('the gradient of', () => {
  it.each<[string, LayerSpec[], number[]]>([
    ['conv1d', [conv1d, ...head], signal],
    ['conv1d, strided and in groups', [{ ...conv1d, stride: 2, groups: 2, bias: false }, ...head], signal],
    ['conv1d, causal and dilated', [{ ...conv1d, padding: 'causal', dilation: 2 }, conv1d, ...head], signal],
    ['max_pool1d', [conv1d, { kind: 'max_pool1d', kernel: 2, stride: 2 }, ...head], signal],
    ['average_pool1d', [conv1d, { kind: 'average_pool1d', kernel: 3, stride: 2 }, ...head], signal],
    [
      'max_pool2d, padded',
      [conv2d, { kind: 'max_pool2d', kernel: [3, 3], stride: [2, 2], padding: 'same' }, ...head],
      [2, 9, 9],
    ],
    [
      'average_pool2d, padded',
      [conv2d, { kind: 'average_pool2d', kernel: [3, 3], stride: [2, 2], padding: 'same' }, ...head],
      [2, 9, 9],
    ],
    ['global_max_pool', [conv1d, { kind: 'global_max_pool' }, dense], signal],
    ['global_average_pool', [conv1d, { kind: 'global_average_pool' }, dense], signal],
    ['group_norm', [conv1d, { kind: 'group_norm', groups: 2, epsilon }, ...head], signal],
    ['instance_norm', [conv1d, { kind: 'instance_norm', epsilon }, ...head], signal],
    ['rms_norm', [dense, { kind: 'rms_norm', epsilon }, ...head], text],
    ['layer_norm without bias', [dense, { kind: 'layer_norm', epsilon, bias: false }, ...head], text],
    ['lstm', [dense1, { kind: 'lstm', units: 3, bidirectional: false, sequences: false }, dense], text],
    [
      'lstm, both ways, every step',
      [dense1, { kind: 'lstm', units: 3, bidirectional: true, sequences: true }, ...head],
      text,
    ],
    ['gru', [dense1, { kind: 'gru', units: 3, bidirectional: true, sequences: false }, dense], text],
    ['gru, every step', [dense1, { kind: 'gru', units: 3, bidirectional: false, sequences: true }, ...head], text],
    ['multi_head_attention', [dense1, attention, ...head], text],
    ['transformer_block', [dense1, block, { kind: 'pool_time', how: 'mean' }, dense], text],
    ['pool_time by its last', [dense1, { kind: 'pool_time', how: 'last' }, dense], text],
    ['pool_time by its maximum', [dense1, { kind: 'pool_time', how: 'max' }, dense], text],
    [
      'residual, projected',
      [{ kind: 'residual', layers: [conv2d], project: true, activation: 'silu' }, ...head],
      [2, 5, 5],
    ],
    ['parallel', [{ kind: 'parallel', branches: [[], [dense], [dense1]], merge: 'concat' }, ...head], [4]],
  ])('%s is the slope of the loss', (_, layers, featureShape) => check(layers, featureShape));

  it('embeddings, places and a tied head is the slope of the loss', () =>
    check(
      [
        { kind: 'embedding', vocabulary: 0, width: 4 },
        { kind: 'position_embedding' },
        { ...block, causal: true },
        { kind: 'tied_head' },
      ],
      [5],
      7,
    ));
});
