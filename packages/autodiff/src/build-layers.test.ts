import { signatureOf } from '@modelmill/onnx';
import { buildLayers } from './build-layers.js';
import { LayerError } from './errors.js';
import { inferenceModel } from './inference-model.js';
import type { LayerSpec } from './layer-spec.js';
import { activations } from './layer-spec.js';
import { numbers, runnable } from './run-for-tests.js';

const random = (stream: number, count: number) => numbers(count, { low: 0, high: 1, seed: stream + 1 });
const build = (layers: readonly LayerSpec[], featureShape: readonly number[] = [64]) =>
  buildLayers(layers, { featureShape, random, name: 'net' });

const conv = (more: Partial<Extract<LayerSpec, { kind: 'conv2d' }>> = {}): LayerSpec => ({
  kind: 'conv2d',
  filters: 4,
  kernel: [3, 3],
  stride: [1, 1],
  padding: 'same',
  groups: 1,
  ...more,
});
const image: LayerSpec = { kind: 'reshape', shape: [1, 8, 8] };

describe('buildLayers', () => {
  it('tells the shape and the weights of every layer', () => {
    const { layers, parameters } = build([
      image,
      conv({ activation: 'relu' }),
      conv({ stride: [2, 2], padding: 'valid' }),
      { kind: 'batch_norm', momentum: 0.9, epsilon: 1e-5 },
      { kind: 'average_pool2d', kernel: [2, 2], stride: [1, 1] },
      { kind: 'global_average_pool' },
      { kind: 'layer_norm', epsilon: 1e-5 },
      { kind: 'dense', units: 10 },
    ]);
    expect(layers.map(({ outputShape }) => outputShape)).toEqual([
      [1, 8, 8],
      [4, 8, 8],
      [4, 3, 3],
      [4, 3, 3],
      [4, 2, 2],
      [4],
      [4],
      [10],
    ]);
    expect(layers.map(({ parameters: count }) => count)).toEqual([0, 40, 148, 8, 0, 0, 8, 50]);
    expect(parameters).toBe(254);
    expect(layers[1]!.name).toBe('1: conv2d');
  });

  it('builds what ONNX Runtime takes, for every kind of layer and activation', async () => {
    const { forward } = build([
      image,
      ...activations.map((activation) => conv({ activation })),
      conv({ groups: 2, stride: [2, 1] }),
      { kind: 'max_pool2d', kernel: [2, 2], stride: [2, 2] },
      { kind: 'dropout', rate: 0.2 },
      { kind: 'flatten' },
      { kind: 'dense', units: 3 },
    ]);
    const served = inferenceModel(forward, new Map(), { softmax: true });
    expect(signatureOf(served)).toEqual({
      inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 64] }],
      outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [-1, 3] }],
    });
    const { probabilities } = await (await runnable(served))({ input: { dims: [5, 64], data: numbers(320) } });
    expect(probabilities).toHaveLength(15);
  });

  it('normalizes within the graph', async () => {
    const normalization = { offset: Float32Array.of(1, 2), scale: Float32Array.of(10, 100) };
    const layers: LayerSpec[] = [{ kind: 'activation', function: 'leaky_relu' }];
    const { forward } = buildLayers(layers, { featureShape: [2], normalization, random, name: 'net' });
    const { output } = await (await runnable(forward))({ input: { dims: [1, 2], data: Float32Array.of(2, 5) } });
    expect([...output!]).toEqual([10, 300]);
  });

  it('draws initial weights within the limits of He and Glorot', () => {
    const weightsOf = (activation?: 'relu' | 'tanh') => {
      const { forward } = build([{ kind: 'dense', units: 200, ...(activation ? { activation } : {}) }]);
      return new Float32Array(forward.graph.initializers.get('layer0.weight')!.bytes.slice().buffer);
    };
    const largest = (values: Float32Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(largest(weightsOf('relu'))).toBeCloseTo(Math.sqrt(6 / 64), 2);
    expect(largest(weightsOf('tanh'))).toBeCloseTo(Math.sqrt(6 / 264), 2);
    expect(largest(weightsOf())).toBeLessThanOrEqual(Math.sqrt(6 / 264));
  });

  it.each([
    ['conv2d', [conv()], 'layers[0] (conv2d) wants [channels, height, width] per example, got [64]'],
    ['reshape', [{ kind: 'reshape', shape: [1, 8, 9] }], 'layers[0] (reshape) wants 72 for [1, 8, 9], got 64 numbers'],
    ['kernel', [image, conv({ kernel: [9, 9], padding: 'valid' })], 'layers[1] (conv2d) has a kernel of [9, 9]'],
    ['groups', [image, conv({ groups: 3 })], 'layers[1] (conv2d) has 3 groups, wants a divisor of its 1 input'],
    ['nothing', [], 'layers is empty'],
  ] as [string, LayerSpec[], string][])('names the layer that does not fit: %s', (_, layers, message) => {
    expect(() => build(layers)).toThrow(LayerError);
    expect(() => build(layers)).toThrow(message);
  });
});
