import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { floatTensor } from '@modelmill/onnx';
import { buildLayers } from './build-layers.js';
import type { LayerSpec } from './layer-spec.js';
import { runnable } from './run-for-tests.js';
import type { OptimizerSpec } from './step-options.js';
import { trainingStep } from './training-step.js';

interface Vectors {
  readonly torch: string;
  readonly steps: number;
  readonly optimizers: readonly {
    readonly name: string;
    readonly optimizer: OptimizerSpec;
    readonly learning_rate: number;
    readonly x: readonly number[];
    readonly y: readonly number[];
    readonly start: Readonly<Record<'weight' | 'bias', readonly number[]>>;
    readonly end: Readonly<Record<'weight' | 'bias', readonly number[]>>;
  }[];
  readonly network: {
    readonly x: readonly number[];
    readonly targets: readonly number[];
    readonly loss: number;
    readonly weights: Readonly<Record<string, { readonly values: number[]; readonly gradient: number[] }>>;
  };
}

/** Made by bench/peers/make_torch_vectors.py. */
const vectors = JSON.parse(
  readFileSync(fileURLToPath(new URL('torch-vectors.json', import.meta.url)), 'utf8'),
) as Vectors;

const random = (_: number, count: number) => new Float32Array(count);
const scalar = (value: number) => ({ dims: [], data: Float32Array.of(value) });

function withWeights(layers: readonly LayerSpec[], features: number, weights: Map<string, readonly number[]>) {
  const { forward } = buildLayers(layers, { featureShape: [features], random, name: 'peer' });
  for (const [name, values] of weights) {
    const { dims } = forward.graph.initializers.get(name)!;
    forward.graph.initializers.set(name, floatTensor(name, dims, values));
  }
  return forward;
}

describe(`PyTorch ${vectors.torch}`, () => {
  it.each(vectors.optimizers.map((one) => [one.name, one] as const))(
    'ends with the same weights after 50 steps of %s',
    async (_, { optimizer, learning_rate: rate, x, y, start, end }) => {
      const names = { weight: 'layer0.weight', bias: 'layer0.bias' } as const;
      const forward = withWeights(
        [{ kind: 'dense', units: 2 }],
        3,
        new Map([
          [names.weight, start.weight],
          [names.bias, start.bias],
        ]),
      );
      const step = trainingStep(forward, { batchSize: 4, loss: { kind: 'mse' }, optimizer });
      const run = await runnable(step.model);
      let state = new Map(step.state.map(({ input, initial }) => [input, initial]));
      for (let t = 1; t <= vectors.steps; t++) {
        const { features, targets, learningRate, corrections } = step.inputs;
        const { beta1 = 0, beta2 = 0 } = optimizer.kind === 'adam' ? optimizer : {};
        const outputs = await run({
          [features]: { dims: [4, 3], data: Float32Array.from(x) },
          [targets]: { dims: [4, 2], data: Float32Array.from(y) },
          [learningRate]: scalar(rate),
          ...(corrections
            ? { [corrections.c1]: scalar(1 / (1 - beta1 ** t)), [corrections.c2]: scalar(1 / (1 - beta2 ** t)) }
            : {}),
          ...Object.fromEntries(step.state.map(({ input, dims }) => [input, { dims, data: state.get(input)! }])),
        });
        state = new Map(step.state.map(({ input, output }) => [input, outputs[output]!]));
      }
      const off = (got: Float32Array, wanted: readonly number[]) =>
        Math.max(...wanted.map((value, i) => Math.abs(value - got[i]!)));
      expect(off(state.get(names.weight)!, end.weight)).toBeLessThan(1e-6);
      expect(off(state.get(names.bias)!, end.bias)).toBeLessThan(1e-6);
    },
  );

  it('has the same loss and gradients of a network of convolutions, normalizations and a maximum', async () => {
    const { x, targets, loss, weights } = vectors.network;
    const conv = { kind: 'conv2d', kernel: [3, 3] } as const;
    const layers: readonly LayerSpec[] = [
      { kind: 'reshape', shape: [2, 10, 10] },
      { ...conv, filters: 4, stride: [1, 1], padding: 'same', groups: 1 },
      { kind: 'batch_norm', momentum: 0.9, epsilon: 1e-5 },
      { kind: 'activation', function: 'gelu' },
      { kind: 'max_pool2d', kernel: [2, 2], stride: [2, 2] },
      { ...conv, filters: 6, stride: [2, 2], padding: 'valid', groups: 2, activation: 'silu' },
      { kind: 'flatten' },
      { kind: 'layer_norm', epsilon: 1e-5 },
      { kind: 'dense', units: 3 },
    ];
    const values = new Map(Object.entries(weights).map(([name, weight]) => [name, weight.values]));
    const step = trainingStep(withWeights(layers, 200, values), {
      batchSize: 5,
      loss: { kind: 'cross_entropy' },
      optimizer: { kind: 'sgd', momentum: 0, nesterov: false },
    });
    const outputs = await (
      await runnable(step.model)
    )({
      [step.inputs.features]: { dims: [5, 200], data: Float32Array.from(x) },
      [step.inputs.targets]: { dims: [5], data: BigInt64Array.from(targets, BigInt) },
      [step.inputs.learningRate]: scalar(1),
      ...Object.fromEntries(step.state.map(({ input, dims, initial }) => [input, { dims, data: initial }])),
    });
    expect(outputs['loss']![0]).toBeCloseTo(loss, 5);
    const trained = step.state.filter(({ kind }) => kind === 'weight');
    expect(trained.map(({ input }) => input).sort()).toEqual(Object.keys(weights).sort());
    for (const { input, output, initial } of trained) {
      const { gradient } = weights[input]!;
      const worst = Math.max(...gradient.map((g, i) => Math.abs(g - (initial[i]! - outputs[output]![i]!))));
      expect({ input, worst }).toEqual({ input, worst: expect.closeTo(0, 5) });
      expect(gradient.some((g) => Math.abs(g) > 1e-3)).toBe(!input.startsWith('layer1.bias'));
    }
  });
});
