import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { floatTensor } from '@modelmill/onnx';
import { buildLayers } from './build-layers.js';
import { runnable } from './run-for-tests.js';
import type { StepOptions } from './step-options.js';
import { trainingStep } from './training-step.js';

type Weights = Readonly<Record<string, readonly number[]>>;

/** Made by bench/peers/make_optimizer_vectors.py. */
const vectors = JSON.parse(readFileSync(fileURLToPath(new URL('optimizer-vectors.json', import.meta.url)), 'utf8')) as {
  readonly torch: string;
  readonly steps: number;
  readonly cases: readonly {
    readonly name: string;
    readonly options: Omit<StepOptions, 'batchSize' | 'loss'>;
    readonly learning_rate: number;
    readonly x: readonly number[];
    readonly y: readonly number[];
    readonly start: Weights;
    readonly end: Weights;
    readonly average?: Weights;
  }[];
};

const scalar = (value: number) => ({ dims: [], data: Float32Array.of(value) });

describe(`50 steps as PyTorch ${vectors.torch} and the papers take them`, () => {
  it.each(vectors.cases.map((one) => [one.name, one] as const))('%s', async (_, one) => {
    const { options, x, y, start, end, average } = one;
    const { forward } = buildLayers(
      [
        { kind: 'dense', units: 4, activation: 'tanh' },
        { kind: 'dense', units: 3 },
      ],
      { featureShape: [5], random: (_stream, count) => new Float32Array(count), name: 'peer' },
    );
    for (const [name, values] of Object.entries(start)) {
      const { dims } = forward.graph.initializers.get(name)!;
      forward.graph.initializers.set(name, floatTensor(name, dims, values));
    }
    const step = trainingStep(forward, { ...options, batchSize: 6, loss: { kind: 'mse' } });
    const run = await runnable(step.model);
    const { features, targets, learningRate, corrections } = step.inputs;
    const betas = { adam: options.optimizer, muon: 'adam' in options.optimizer ? options.optimizer.adam : undefined };
    const { beta1, beta2 } = { beta1: 0, beta2: 0, ...betas[options.optimizer.kind as 'adam' | 'muon'] };
    let state = new Map(step.state.map(({ input, initial }) => [input, initial]));
    for (let t = 1; t <= vectors.steps; t++) {
      const outputs = await run({
        [features]: { dims: [6, 5], data: Float32Array.from(x) },
        [targets]: { dims: [6, 3], data: Float32Array.from(y) },
        [learningRate]: scalar(one.learning_rate),
        ...(corrections
          ? { [corrections.c1]: scalar(1 / (1 - beta1 ** t)), [corrections.c2]: scalar(1 / (1 - beta2 ** t)) }
          : {}),
        ...Object.fromEntries(step.state.map(({ input, dims }) => [input, { dims, data: state.get(input)! }])),
      });
      state = new Map(step.state.map(({ input, output }) => [input, outputs[output]!]));
    }
    const worst = (wanted: Weights, nameOf: (weight: string) => string) =>
      Object.entries(wanted).map(([weight, values]) => {
        const got = state.get(nameOf(weight))!;
        return { weight, off: Math.max(...values.map((value, i) => Math.abs(value - got[i]!))) };
      });
    const averageOf = (weight: string) => step.state.find(({ of }) => of === weight)!.input;
    const all = [...worst(end, (weight) => weight), ...worst(average ?? {}, averageOf)];
    expect(all.filter(({ off }) => !(off < 1e-6))).toEqual([]);
    expect(all).toHaveLength(average ? 8 : 4);
  });
});
