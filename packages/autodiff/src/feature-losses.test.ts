import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildLayers } from './build-layers.js';
import { emit } from './emit.js';
import { featureTerms } from './feature-losses.js';
import type { FeatureLoss } from './feature-losses.js';
import { gradients } from './gradients.js';
import { inferenceModel } from './inference-model.js';
import { numbers, runnable } from './run-for-tests.js';
import { trainingStep } from './training-step.js';
import { input } from './value.js';

/** Made by bench/peers/make_feature_loss_vectors.py. */
const vectors = JSON.parse(
  readFileSync(fileURLToPath(new URL('feature-loss-vectors.json', import.meta.url)), 'utf8'),
) as {
  readonly loss: FeatureLoss;
  readonly student: readonly number[];
  readonly teacher: readonly number[];
  readonly s: readonly number[];
  readonly t: readonly number[];
  readonly w?: readonly number[];
  readonly value: number;
  readonly gradient: readonly number[];
  readonly gradientOfW?: readonly number[];
}[];

const random = (count: number) => numbers(count, { low: 0, high: 1, seed: 8 });
const target = (loss: FeatureLoss, student: string, teacherShape: readonly number[]) => ({
  ...{ student, teacherShape, loss, weight: 1, random },
});
const off = (got: Float32Array, wanted: readonly number[]) => {
  expect(got).toHaveLength(wanted.length);
  return Math.max(...wanted.map((value, i) => Math.abs(value - got[i]!)));
};

describe('losses of hidden values', () => {
  it.each(vectors.map((one) => [`${one.loss} of [${one.student}] and [${one.teacher}]`, one] as const))(
    '%s has the value and gradients of its formula',
    async (_, one) => {
      const x = input('x', one.student);
      const { losses, teachers, projections } = featureTerms(
        [target(one.loss, 'x', one.teacher)],
        new Map([['x', x]]),
        (name) => name,
      );
      const [loss] = losses;
      const found = gradients(loss!, [x, ...projections.map(({ value }) => value)]);
      const outputs = new Map([['loss', loss!]]);
      for (const [value, gradient] of found) outputs.set(value === x ? 'dx' : 'dw', gradient);
      const fed = [x, teachers[0]!, ...projections.map(({ value }) => value)];
      const run = await runnable(emit({ name: 'loss', inputs: fed, outputs }));
      const got = await run({
        x: { dims: one.student, data: Float32Array.from(one.s) },
        'teacher.feature0': { dims: one.teacher, data: Float32Array.from(one.t) },
        ...Object.fromEntries(
          projections.map(({ name, value }) => [name, { dims: value.shape, data: Float32Array.from(one.w!) }]),
        ),
      });
      expect(got['loss']![0]).toBeCloseTo(one.value, 5);
      expect(off(got['dx']!, one.gradient)).toBeLessThan(2e-6);
      expect(projections).toHaveLength(one.w ? 1 : 0);
      if (one.gradientOfW) expect(off(got['dw']!, one.gradientOfW)).toBeLessThan(2e-6);
    },
  );

  it.each([
    [
      'mse',
      [8, 4, 5],
      "'x' is [8,3,6,6] and the teacher's value [8,4,5]: mse wants the same sizes, but for the channels",
    ],
    ['cosine', [8, 3, 6, 5], 'cosine wants the same sizes, but for the channels of maps or the last axis of others'],
    ['attention', [8, 9, 3, 3], 'attention wants maps of one height and width'],
  ] as const)('of %s refuse [%s]', (loss, shape, message) =>
    expect(() =>
      featureTerms([target(loss, 'x', shape)], new Map([['x', input('x', [8, 3, 6, 6])]]), (name) => name),
    ).toThrow(message),
  );

  it('teach a step, whose projection is trained and is no part of the model', async () => {
    const layers = [
      { kind: 'dense', units: 5, activation: 'tanh' },
      { kind: 'dense', units: 3 },
    ] as const;
    const { forward } = buildLayers(layers, { featureShape: [6], random: (_, count) => random(count), name: 'net' });
    const batchSize = 4;
    const step = trainingStep(forward, {
      batchSize,
      loss: { kind: 'cross_entropy' },
      optimizer: { kind: 'sgd', momentum: 0, nesterov: false },
      ema: 0.5,
      keepZeros: true,
      distillation: {
        ...{ temperature: 1, mix: 0 },
        features: [{ ...target('mse', 'layer0', [batchSize, 7]), weight: 2 }],
      },
    });
    const projection = step.state.find(({ kind }) => kind === 'projection')!;
    expect(projection).toMatchObject({ dims: [5, 7] });
    const [feature] = step.inputs.teacherFeatures;
    const run = await runnable(step.model);
    const data = (count: number, seed: number) => numbers(count, { seed });
    const feeds = {
      [step.inputs.features]: { dims: [batchSize, 6], data: data(24, 1) },
      [step.inputs.targets]: { dims: [batchSize], data: BigInt64Array.of(0n, 1n, 2n, 1n) },
      [step.inputs.learningRate]: { dims: [], data: Float32Array.of(0.05) },
      [step.inputs.teacher!]: { dims: [batchSize, 3], data: data(12, 2) },
      [feature!.name]: { dims: feature!.shape, data: data(28, 3) },
    };
    const state = new Map(step.state.map(({ input: name, dims, initial }) => [name, { dims, data: initial }]));
    const losses: number[] = [];
    for (let i = 0; i < 200; i++) {
      const after = await run({ ...feeds, ...Object.fromEntries(state) });
      losses.push(after[step.outputs.loss]![0]!);
      for (const { input: name, output, dims } of step.state) state.set(name, { dims, data: after[output]! });
    }
    expect(losses.at(-1)).toBeLessThan(losses[0]! / 3);
    expect(state.get(projection.input)!.data).not.toEqual(projection.initial);
    const weights = new Map([...state].map(([name, { data: values }]) => [name, values]));
    const served = inferenceModel(forward, weights, { softmax: true });
    expect([...served.graph.initializers.keys()].sort()).toEqual([...forward.graph.initializers.keys()].sort());
  });
});
