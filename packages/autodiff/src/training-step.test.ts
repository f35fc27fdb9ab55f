import { attribute, floatTensor, makeNode } from '@modelmill/onnx';
import { buildLayers } from './build-layers.js';
import { TrainingFormError, UnsupportedOpError } from './errors.js';
import { importForTraining } from './import-for-training.js';
import { inferenceModel } from './inference-model.js';
import type { LayerSpec } from './layer-spec.js';
import { numbers, runnable } from './run-for-tests.js';
import type { Feeds } from './run-for-tests.js';
import { trainingStep } from './training-step.js';
import type { OptimizerSpec, StepOptions } from './step-options.js';
import type { TrainingStep } from './training-step.js';

const random = (stream: number, count: number) => numbers(count, { low: 0, high: 1, seed: stream + 11 });
const build = (layers: readonly LayerSpec[], featureShape = [6]) =>
  buildLayers(layers, { featureShape, random, name: 'net' }).forward;

const conv: LayerSpec = {
  kind: 'conv2d',
  filters: 3,
  kernel: [3, 3],
  stride: [1, 1],
  padding: 'same',
  groups: 1,
};
const perceptron = build([
  { kind: 'dense', units: 5, activation: 'tanh' },
  { kind: 'dense', units: 3 },
]);
const convolutional = build(
  [
    { kind: 'reshape', shape: [1, 4, 4] },
    conv,
    { kind: 'batch_norm', momentum: 0.9, epsilon: 1e-5 },
    { kind: 'activation', function: 'gelu' },
    { kind: 'max_pool2d', kernel: [2, 2], stride: [2, 2] },
    { kind: 'flatten' },
    { kind: 'layer_norm', epsilon: 1e-5 },
    { kind: 'dropout', rate: 0.5 },
    { kind: 'dense', units: 3 },
  ],
  [16],
);

const batchSize = 4;
const sgd: OptimizerSpec = { kind: 'sgd', momentum: 0, nesterov: false };
const adam: OptimizerSpec = { kind: 'adam', beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 };
const options: StepOptions = { batchSize, loss: { kind: 'cross_entropy' }, optimizer: sgd };
const scalar = (value: number) => ({ dims: [], data: Float32Array.of(value) });

/** A step's feeds: the same batch every time, masks that keep every second element. */
function feedsOf(step: TrainingStep, width: number, rest: Feeds = {}): Record<string, Feeds[string]> {
  const { features, targets, learningRate, dropout, corrections, teacher } = step.inputs;
  return {
    [features]: { dims: [batchSize, width], data: numbers(batchSize * width, { seed: 3 }) },
    [targets]: { dims: [batchSize], data: BigInt64Array.of(0n, 1n, 2n, 1n) },
    [learningRate]: scalar(0.1),
    ...(corrections ? { [corrections.c1]: scalar(10), [corrections.c2]: scalar(100) } : {}),
    ...(teacher ? { [teacher]: { dims: [batchSize, 3], data: numbers(batchSize * 3, { seed: 9, high: 3 }) } } : {}),
    ...Object.fromEntries(
      dropout.map(({ name, shape, rate }) => {
        const count = shape.reduce((a, b) => a * b, 1);
        return [name, { dims: shape, data: Float32Array.from({ length: count }, (_, i) => (i % 2) / (1 - rate)) }];
      }),
    ),
    ...Object.fromEntries(step.state.map(({ input, dims, initial }) => [input, { dims, data: initial }])),
    ...rest,
  };
}

async function gradientsOf(forward: typeof perceptron, width: number, more: Partial<StepOptions> = {}) {
  const step = trainingStep(forward, { ...options, ...more });
  const feeds = feedsOf(step, width);
  const run = await runnable(step.model);
  const after = await run(feeds);
  return { step, run, feeds, after };
}

describe('trainingStep', () => {
  it.each([
    ['a perceptron', perceptron, 6, {}],
    ['a perceptron with a teacher', perceptron, 6, { distillation: { temperature: 3, mix: 0.6 } }],
    ['a convolutional network', convolutional, 16, {}],
  ] as const)('moves the weights of %s down the slope of the loss', async (_, forward, width, more) => {
    const { step, run, feeds, after } = await gradientsOf(forward, width, more);
    const lossAt = async (name: string, at: number, by: number) => {
      const { dims, data } = feeds[name] as { dims: readonly number[]; data: Float32Array };
      const moved = { dims, data: data.map((value, i) => (i === at ? value + by : value)) };
      return (await run({ ...feeds, [name]: moved }))[step.outputs.loss]![0]!;
    };
    let checked = 0;
    for (const { input, output, initial } of step.state.filter((state) => !state.input.includes('running'))) {
      for (let i = 0; i < initial.length; i += Math.ceil(initial.length / 7)) {
        const wanted = ((await lossAt(input, i, 1 / 128)) - (await lossAt(input, i, -1 / 128))) / (2 / 128);
        const got = (initial[i]! - after[output]![i]!) / 0.1;
        expect({ input, i, off: Math.abs(got - wanted) }).toEqual({ input, i, off: expect.closeTo(0, 2) });
        checked += Number(Math.abs(wanted) > 0.01);
      }
    }
    expect(checked).toBeGreaterThan(5);
  });

  it('sums up how much each weight matters, and trains nothing', async () => {
    const { step, run, feeds, after } = await gradientsOf(perceptron, 6, { importance: true });
    const sums = step.state.filter(({ kind }) => kind === 'weight average');
    expect(sums.map(({ of }) => of)).toEqual([...perceptron.graph.initializers.keys()]);
    expect(step.state.some(({ kind }) => kind === 'optimizer slot')).toBe(false);
    const twice = await run({
      ...feeds,
      ...Object.fromEntries(step.state.map(({ input, output, dims }) => [input, { dims, data: after[output]! }])),
    });
    for (const { of = '', output } of sums) {
      const weight = step.state.find(({ input }) => input === of)!;
      expect(after[weight.output]).toEqual(weight.initial);
      const plain = await gradientsOf(perceptron, 6);
      const moved = plain.after[plain.step.state.find(({ input }) => input === of)!.output]!;
      // the slope that the test above holds against differences
      const wanted = weight.initial.map((value, i) => Math.abs((value * (value - moved[i]!)) / 0.1));
      if (weight.dims.length > 1) expect(Math.max(...wanted)).toBeGreaterThan(0.001); // biases begin at 0
      wanted.forEach((value, i) => expect(after[output]![i]).toBeCloseTo(value, 5));
      wanted.forEach((value, i) => expect(twice[output]![i]).toBeCloseTo(2 * value, 5));
    }
  });

  it.each<[string, OptimizerSpec]>([
    ['Adam', adam],
    ['momentum', { kind: 'sgd', momentum: 0.9, nesterov: true }],
  ])('keeps zero what became it between two steps, whatever %s remembers of it', async (_, optimizer) => {
    const pruned = perceptron.graph.nodes.find(({ opType }) => opType === 'Gemm')!.inputs[1]!;
    const { step, run, feeds, after } = await gradientsOf(perceptron, 6, { optimizer, pruned: [pruned], ema: 0.9 });
    const own = step.state.filter(({ input, of }) => input === pruned || of === pruned);
    expect(own).toHaveLength(2);
    const now = new Map(step.state.map(({ input, output, dims }) => [input, { dims, data: after[output]! }]));
    for (const { input, dims } of own) {
      const data = now.get(input)!.data.map((value, i) => (i % 3 === 0 ? 0 : value));
      now.set(input, { dims, data });
    }
    const later = await run({ ...feeds, ...Object.fromEntries(now) });
    for (const { output } of own) {
      later[output]!.forEach((value, i) => expect([i, value === 0]).toEqual([i, i % 3 === 0]));
    }
    const others = step.state.filter(({ kind, input }) => kind === 'weight' && input !== pruned);
    for (const { input, output } of others) expect(later[output]).not.toEqual(now.get(input)!.data);
  });

  it('updates by momentum, Nesterov and Adam with decoupled decay as their papers say', async () => {
    const { step, after } = await gradientsOf(perceptron, 6);
    const name = step.state[0]!.input;
    const before = step.state[0]!.initial;
    const g = before.map((value, i) => (value - after[`next/${name}`]![i]!) / 0.1);
    const slot = numbers(g.length, { low: 0.1, high: 0.5, seed: 4 });

    const movedBy = async (optimizer: OptimizerSpec, slots: string[]) => {
      const other = trainingStep(perceptron, { ...options, optimizer });
      // one row for all weights, of which this one comes first
      const row = (all: Float32Array) => all.map((_, i) => slot[i] ?? 0.1);
      const rest = Object.fromEntries(
        other.state
          .filter(({ input }) => slots.includes(input))
          .map(({ input, dims, initial }) => [input, { dims, data: row(initial) }]),
      );
      return (await (await runnable(other.model))(feedsOf(other, 6, rest)))[`next/${name}`]!;
    };
    const close = (got: Float32Array, wanted: (i: number) => number) =>
      got.forEach((value, i) => expect(value).toBeCloseTo(wanted(i), 4));

    close(
      await movedBy({ kind: 'sgd', momentum: 0.8, nesterov: false }, ['momentum']),
      (i) => before[i]! - 0.1 * (0.8 * slot[i]! + g[i]!),
    );
    close(
      await movedBy({ kind: 'sgd', momentum: 0.8, nesterov: true }, ['momentum']),
      (i) => before[i]! - 0.1 * (g[i]! + 0.8 * (0.8 * slot[i]! + g[i]!)),
    );
    close(await movedBy(adam, ['adam.m', 'adam.v']), (i) => {
      // the slots hold the means undivided by 1 − β
      const m = 0.1 * (0.9 * slot[i]! + g[i]!);
      const v = 0.01 * (0.99 * slot[i]! + g[i]! ** 2);
      return before[i]! * (1 - 0.1 * 0.1) - (0.1 * (m * 10)) / (Math.sqrt(v * 100) + 1e-8);
    });
  });

  it('scales all gradients down to the clipping norm together', async () => {
    const free = await gradientsOf(perceptron, 6);
    const norm = free.after['gradient_norm']![0]!;
    const clipped = await gradientsOf(perceptron, 6, { clipNorm: norm / 4 });
    const moved = ({ step, after }: typeof free) =>
      Math.hypot(...step.state.flatMap(({ output, initial }) => [...initial.map((v, i) => v - after[output]![i]!)]));
    expect(moved(free)).toBeCloseTo(0.1 * norm, 4);
    expect(moved(clipped)).toBeCloseTo((0.1 * norm) / 4, 4);
    expect(clipped.after['gradient_norm']![0]).toBeCloseTo(norm, 5);
  });

  it('makes one update of several batches as of one that holds them all', async () => {
    const optimizer: OptimizerSpec = { ...adam, weightDecay: 0.1 };
    const recipe = { ...options, optimizer, clipValue: 0.01, clipNorm: 0.05, ema: 0.5 };
    const whole = trainingStep(perceptron, recipe);
    const parts = trainingStep(perceptron, { ...recipe, batchSize: batchSize / 2, accumulate: 2 });
    const all = feedsOf(whole, 6);
    const wanted = await (await runnable(whole.model))(all);
    const half = (name: string, part: number) => {
      const { dims, data } = all[name]!;
      const length = data.length / 2;
      return { dims: [batchSize / 2, ...dims.slice(1)], data: data.slice(part * length, (part + 1) * length) };
    };
    const { features, targets } = parts.inputs;
    let state: Feeds = Object.fromEntries(
      parts.state.map(({ input, dims, initial }) => [input, { dims, data: initial }]),
    );
    for (const [part, form] of [parts.gather!, parts].entries()) {
      const fed = new Set(form.model.graph.inputs.map(({ name }) => name));
      const feeds = Object.entries({
        ...feedsOf(parts, 6, state),
        [features]: half(whole.inputs.features, part),
        [targets]: half(whole.inputs.targets, part),
      });
      const after = await (await runnable(form.model))(Object.fromEntries(feeds.filter(([name]) => fed.has(name))));
      const next = form.state.map(({ input, output, dims }) => [input, { dims, data: after[output]! }] as const);
      state = { ...state, ...Object.fromEntries(next) };
    }
    // a gathering step costs no update
    expect(parts.gather!.state.every(({ input }) => input.startsWith('gradient'))).toBe(true);
    expect(parts.gather!.model.graph.nodes.length).toBeLessThan(parts.model.graph.nodes.length / 2);
    for (const { input, output } of whole.state) {
      const got = state[input]!.data;
      wanted[output]!.forEach((value, i) => expect(got[i]).toBeCloseTo(value, 5));
    }
    const kept = parts.state.filter(({ input }) => input.startsWith('gradient'));
    expect(kept.length).toBeGreaterThan(0);
    for (const { input } of kept) expect(state[input]!.data.every((value) => value === 0)).toBe(true);
  });

  const muon: OptimizerSpec = { kind: 'muon', momentum: 0.9, weightDecay: 0.1, adam, adamRate: 0.1 };
  it.each([adam, muon])('keeps the zeros of pruned matrices by $kind, and lets zero biases move', async (optimizer) => {
    const pruned = importForTraining(perceptron);
    const name = 'layer0.weight';
    const values = numbers(30).map((value, i) => (i % 3 === 0 ? 0 : value));
    pruned.graph.initializers.set(name, floatTensor(name, [6, 5], values));
    const { after } = await gradientsOf(pruned, 6, { keepZeros: true, optimizer });
    const next = after[`next/${name}`]!;
    expect([...next].every((value, i) => (value === 0) === (i % 3 === 0))).toBe(true);
    expect(after['next/layer0.bias']!.every((value) => value !== 0)).toBe(true);
  });

  it('moves running statistics towards those of the batch, and serves with them', async () => {
    const { step, after } = await gradientsOf(convolutional, 16);
    const means = step.state.find(({ input }) => input.endsWith('running_mean'))!;
    expect(means.initial.every((value) => value === 0)).toBe(true);
    expect(after[means.output]!.every((value) => value !== 0)).toBe(true);

    const weights = new Map(step.state.map(({ input, output }) => [input, after[output]!]));
    const served = inferenceModel(convolutional, weights, { softmax: true });
    expect(served.graph.nodes.some(({ opType }) => opType === 'Dropout')).toBe(false);
    expect(served.graph.inputs[0]!.shape).toEqual(['batch', 16]);
    const x = { dims: [7, 16], data: numbers(7 * 16) };
    const { probabilities } = await (await runnable(served))({ input: x });
    expect(probabilities).toHaveLength(21);
    for (let row = 0; row < 7; row++) {
      expect(probabilities!.slice(3 * row, 3 * row + 3).reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    }

    const fed = inferenceModel(convolutional, weights, { softmax: true, weightsAsInputs: true });
    const inputs = step.state.filter(({ input }) => fed.graph.inputs.some(({ name }) => name === input));
    const again = await (
      await runnable(fed)
    )({
      input: x,
      ...Object.fromEntries(inputs.map(({ input, dims }) => [input, { dims, data: weights.get(input)! }])),
    });
    expect(again['probabilities']).toHaveLength(21);
    again['probabilities']!.forEach((value, i) => expect(value).toBeCloseTo(probabilities![i]!, 5));
  });

  it('goes on from what is served', async () => {
    const served = inferenceModel(perceptron, new Map(), { softmax: true });
    const forward = importForTraining(served);
    const a = await gradientsOf(perceptron, 6);
    const b = await gradientsOf(forward, 6);
    expect(b.after['loss']![0]).toBeCloseTo(a.after['loss']![0]!, 6);
    expect(b.after['gradient_norm']![0]).toBeCloseTo(a.after['gradient_norm']![0]!, 6);
  });

  it('lets a graph name its weights as the step names its own values', async () => {
    const names = ['targets', 'learning_rate', 'loss', 'adam.m'];
    const odd = importForTraining(perceptron);
    const renamed = new Map([...odd.graph.initializers.keys()].map((name, i) => [name, names[i] ?? name]));
    for (const node of odd.graph.nodes) node.inputs = node.inputs.map((name) => renamed.get(name) ?? name);
    odd.graph.initializers = new Map(
      [...odd.graph.initializers.values()].map((tensor) => {
        const name = renamed.get(tensor.name)!;
        return [name, { ...tensor, name }];
      }),
    );
    const usual = await gradientsOf(perceptron, 6, { optimizer: adam });
    const { step, after } = await gradientsOf(odd, 6, { optimizer: adam });
    expect(step.state.slice(0, 4).map(({ input }) => input)).toEqual(names);
    expect(new Set(step.model.graph.inputs.map(({ name }) => name)).size).toBe(step.model.graph.inputs.length);
    step.state.forEach(({ output }, i) => expect(after[output]).toEqual(usual.after[usual.step.state[i]!.output]));
    expect(after[step.outputs.loss]).toEqual(usual.after[usual.step.outputs.loss]);
  });

  it('trains weights that the graph reads in another form, however small', async () => {
    const odd = importForTraining(perceptron);
    const [gemm] = odd.graph.nodes;
    odd.graph.nodes.unshift(makeNode('Neg', [gemm!.inputs[2]!], ['negated']));
    gemm!.inputs[2] = 'negated';
    const { step, after } = await gradientsOf(odd, 6);
    const bias = step.state.find(({ dims }) => dims.length === 1)!;
    expect(bias.dims).toEqual([5]);
    expect(Math.max(...after[bias.output]!.map((now, i) => Math.abs(now - bias.initial[i]!)))).toBeGreaterThan(1e-4);
  });

  it('takes the mean squared error of numbers', async () => {
    const forward = build([{ kind: 'dense', units: 1 }]);
    const step = trainingStep(forward, { ...options, loss: { kind: 'mse' } });
    const targets = { dims: [batchSize, 1], data: Float32Array.of(1, 2, 3, 4) };
    const after = await (await runnable(step.model))(feedsOf(step, 6, { [step.inputs.targets]: targets }));
    const error = targets.data.map((target, i) => after['logits']![i]! - target);
    expect(after['loss']![0]).toBeCloseTo(error.reduce((sum, e) => sum + e * e, 0) / 4, 4);
  });

  it('refuses groups of no weight, and groups that leave nothing to train', () => {
    const grouped = (...globs: string[]) => {
      const weights = globs.map((glob) => ({ weights: [glob], learningRateScale: 0 }));
      return () => trainingStep(perceptron, { ...options, groups: weights });
    };
    expect(grouped('layer0.*')).not.toThrow();
    expect(grouped('layer0.*', 'layer7.*')).toThrow(
      "groups[1].weights[0] is 'layer7.*', which names no weight: there are layer0.weight, layer0.bias, layer1.weight",
    );
    expect(grouped('*')).toThrow('groups give every weight a learning_rate_scale of 0');
  });

  it('refuses what it cannot differentiate, or train, in words', () => {
    const odd = importForTraining(perceptron);
    const gemm = odd.graph.nodes.at(-1)!;
    odd.graph.nodes.push({
      ...makeNode('MatMulNBits', [gemm.outputs[0]!, gemm.outputs[0]!], ['scaled'], { N: attribute(5) }, 'the odd one'),
      domain: 'com.microsoft',
    });
    odd.graph.outputs = [{ ...odd.graph.outputs[0]!, name: 'scaled' }];
    expect(() => trainingStep(odd, options)).toThrow(UnsupportedOpError);
    expect(() => trainingStep(odd, options)).toThrow("MatMulNBits (node 'the odd one')");
    expect(() =>
      trainingStep(perceptron, { ...options, loss: { kind: 'mse' }, distillation: { temperature: 2, mix: 0.5 } }),
    ).toThrow(TrainingFormError);
  });

  it('computes convolutions by columns where it is told to, and the same weights', async () => {
    const wide = { ...conv, filters: 16 };
    const layers: LayerSpec[] = [{ kind: 'reshape', shape: [1, 4, 4] }, wide, wide, { kind: 'flatten' }];
    const forward = build([...layers, { kind: 'dense', units: 3 }], [16]);
    const recipe = { ...options, loss: { kind: 'mse' }, batchSize: 16, accumulate: 2 } as const;
    const [usual, columns] = [trainingStep(forward, recipe), trainingStep(forward, { ...recipe, columns: true })];
    const gathers = ({ model, gather }: TrainingStep) =>
      [model, gather!.model].map(({ graph }) => graph.nodes.filter(({ opType }) => opType === 'Gather').length);
    expect(gathers(usual)).toEqual([0, 0]);
    // those of the second weight's gradient are by minimal filtering: two
    expect(gathers(columns)).toEqual([4, 4]);

    const feeds = {
      ...feedsOf(usual, 16),
      [usual.inputs.features]: { dims: [16, 16], data: numbers(256) },
      [usual.inputs.targets]: { dims: [16, 3], data: numbers(48, { seed: 2 }) },
    };
    const [one, other] = [await (await runnable(usual.model))(feeds), await (await runnable(columns.model))(feeds)];
    for (const { output } of usual.state) {
      const furthest = Math.max(...one[output]!.map((value, i) => Math.abs(value - other[output]![i]!)));
      expect([output, furthest < 1e-5]).toEqual([output, true]);
    }
  });

  it('leaves a layer normalization alone with its input on the CPU only, where ONNX Runtime joins the sum before it', () => {
    const bare = build([
      { kind: 'residual', layers: [{ kind: 'dense', units: 6 }], project: false },
      { kind: 'layer_norm', epsilon: 1e-5, bias: false },
      { kind: 'dense', units: 3 },
    ]);
    const readers = (columns: boolean) => {
      const { nodes } = trainingStep(bare, { ...options, columns }).model.graph;
      const { inputs } = nodes.find(({ opType }) => opType === 'LayerNormalization')!;
      return nodes.filter((node) => node.inputs.includes(inputs[0]!)).map(({ opType }) => opType);
    };
    expect(readers(true)).toEqual(['LayerNormalization']);
    expect(readers(false)).toEqual(['LayerNormalization', 'Sub']);
  });
});
