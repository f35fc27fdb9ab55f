import { buildLayers, dataParallelStep, presetLayers, trainingStep } from '@modelmill/autodiff';
import type { LayerSpec, StepOptions } from '@modelmill/autodiff';
import { counterRandom } from '@modelmill/data';
import { openStatefulSession, openTeam } from '@modelmill/runtime';
import type { SharedTensor, StatefulSession, TypedTensor } from '@modelmill/runtime';
import { openDataParallelSession } from './data-parallel-session.js';

interface Case {
  readonly layers: readonly LayerSpec[];
  readonly shape: readonly number[];
  readonly vocabulary?: number;
  readonly classes: number;
  readonly perPlace?: boolean;
  readonly more?: Partial<StepOptions>;
}

const batchSize = 32;
const dense = (units: number, activation?: 'relu' | 'gelu'): LayerSpec => ({
  kind: 'dense',
  units,
  ...(activation ? { activation } : {}),
});
const conv = (filters: number): LayerSpec => ({
  kind: 'conv2d',
  filters,
  kernel: [3, 3],
  stride: [1, 1],
  padding: 'same',
  groups: 1,
  activation: 'relu',
});
const adam = { kind: 'adam', beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 } as const;

/** Large enough to be parted. */
const images: Case = {
  layers: [{ kind: 'reshape', shape: [1, 16, 16] }, conv(32), conv(32), { kind: 'flatten' }, dense(5)],
  shape: [256],
  classes: 5,
};
/** More positions than rows of the table that a batch reads, some of them several times, in both shares. */
const texts: Case = {
  layers: [
    { kind: 'embedding', vocabulary: 3_000, width: 128 },
    { kind: 'lstm', units: 48, bidirectional: false, sequences: false },
    dense(3),
  ],
  shape: [64],
  vocabulary: 3_000,
  classes: 3,
};
const clippedTexts: Case = { ...texts, more: { clipNorm: 0.1, ema: 0.5 } };
const cases: Record<string, Case> = {
  'convolutions, by Adam': images,
  'convolutions, by SGD with Nesterov momentum': {
    ...images,
    more: { optimizer: { kind: 'sgd', momentum: 0.9, nesterov: true }, clipValue: 0.01 },
  },
  'convolutions, by SGD alone, the first layer frozen': {
    ...images,
    more: {
      optimizer: { kind: 'sgd', momentum: 0, nesterov: false },
      groups: [{ weights: ['layer1.*'], learningRateScale: 0 }],
    },
  },
  'convolutions, by RMSprop with momentum': {
    ...images,
    more: { optimizer: { kind: 'rms_prop', decay: 0.9, epsilon: 1e-6, momentum: 0.5 } },
  },
  'convolutions, by Adagrad': { ...images, more: { optimizer: { kind: 'adagrad', epsilon: 1e-6 } } },
  'a transformer with an average, a clipped norm and groups': {
    layers: presetLayers(
      { kind: 'gpt', layers: 2, heads: 2, width: 64, dropout: 0.1, bias: true, tied: true },
      { featureShape: [32], outputs: 40 },
    ),
    shape: [32],
    vocabulary: 40,
    classes: 40,
    perPlace: true,
    more: {
      ema: 0.9,
      decayMatricesOnly: true,
      clipNorm: 0.5,
      groups: [{ weights: ['*.bias'], learningRateScale: 0.5, weightDecay: 0.2 }],
    },
  },
  'a text classifier with a table': texts,
  'a text classifier with a table, a clipped norm and an average': clippedTexts,
  'a text classifier with a table whose gradient is cut': { ...texts, more: { clipValue: 1e-3 } },
  'a text classifier of squared errors': {
    ...texts,
    classes: 0,
    more: { loss: { kind: 'mse' }, optimizer: { kind: 'adagrad', epsilon: 1e-6 } },
  },
};

function stepsOf({ layers, shape, vocabulary, classes, perPlace = false, more = {} }: Case) {
  const random = counterRandom(3n, 0);
  const { forward } = buildLayers(layers, {
    featureShape: shape,
    ...(vocabulary === undefined ? {} : { tokens: { vocabulary } }),
    name: 'shared',
    random: (stream, count) => counterRandom(3n, stream).uniform(0, count),
  });
  const options: StepOptions = {
    batchSize,
    exampleShape: shape,
    loss: { kind: 'cross_entropy' },
    optimizer: adam,
    columns: true,
    ...more,
  };
  const whole = trainingStep(forward, options);
  const parallel = dataParallelStep(forward, options, 2)!;
  const count = batchSize * shape.reduce((product, size) => product * size, 1);
  const feedsAt = (step: number): Record<string, TypedTensor> => {
    const features: TypedTensor = {
      dims: [batchSize, ...shape],
      data: vocabulary
        ? BigInt64Array.from(random.uniform(step * 2, count), (u) => BigInt(Math.floor(u * u * vocabulary)))
        : Float32Array.from(random.uniform(step * 2, count), (u) => 2 * u - 1),
    };
    const targetDims = perPlace ? [batchSize, ...shape] : [batchSize];
    const targetCount = targetDims.reduce((product, size) => product * size, 1);
    const drawn = random.uniform(step * 2 + 1, targetCount);
    const scalar = (value: number): TypedTensor => ({ dims: [], data: Float32Array.of(value) });
    const { learningRate, corrections, dropout } = whole.inputs;
    const masks = dropout.map(({ name, shape: dims, rate }, i): [string, TypedTensor] => {
      const count = dims.reduce((product, size) => product * size, 1);
      const data = random.uniform(1_000 + 50 * i + step, count).map((u) => (u < rate ? 0 : 1 / (1 - rate)));
      return [name, { dims, data }];
    });
    return {
      ...Object.fromEntries(masks),
      [whole.inputs.features]: features,
      [whole.inputs.targets]:
        classes === 0
          ? { dims: [batchSize, 3], data: random.uniform(5_000 + step, 3 * batchSize) }
          : { dims: targetDims, data: BigInt64Array.from(drawn, (u) => BigInt(Math.floor(u * classes))) },
      [learningRate]: scalar(0.002),
      ...(corrections
        ? {
            [corrections.c1]: scalar(1 / (1 - 0.9 ** (step + 1))),
            [corrections.c2]: scalar(1 / (1 - 0.99 ** (step + 1))),
          }
        : {}),
    };
  };
  const initial = Object.fromEntries(whole.state.map(({ input, dims, initial }) => [input, { dims, data: initial }]));
  return { whole, parallel, feedsAt, initial };
}

type Steps = Pick<StatefulSession, 'run' | 'advance' | 'state'>;

async function train(session: Steps, { whole, feedsAt }: ReturnType<typeof stepsOf>, steps: number, first = 0) {
  const told: { loss: number; norm: number }[] = [];
  for (let step = first; step < first + steps; step++) {
    const outputs = await session.run(feedsAt(step));
    const numberOf = (name: string) => (outputs[name]?.data as Float32Array)[0]!;
    told.push({ loss: numberOf(whole.outputs.loss), norm: numberOf(whole.outputs.gradientNorm) });
    session.advance();
  }
  return { told, state: await session.state() };
}

const bitsOf = (state: Readonly<Record<string, TypedTensor>>) =>
  Object.entries(state).map(([name, { dims, data }]) => [
    name,
    dims,
    Buffer.from(
      (data as Float32Array).buffer,
      (data as Float32Array).byteOffset,
      (data as Float32Array).byteLength,
    ).toString('base64'),
  ]);

describe('a step that threads share', () => {
  it.each<[string, Case, boolean]>([
    ...Object.entries(cases).map(([name, of]): [string, Case, boolean] => [name, of, true]),
    ['convolutions, by Adam, without a kernel', images, false],
    ['a text classifier with a table, a clipped norm and an average, without a kernel', clippedTexts, false],
  ])('gives the losses, norms and weights of one graph: %s', async (_, of, withKernel) => {
    const steps = stepsOf(of);
    await using one = await openStatefulSession(steps.whole.model, steps.whole.state, {
      providers: ['cpu'],
    });
    await using team = await openDataParallelSession(steps.parallel, 2, withKernel);
    one.setState(steps.initial);
    team.setState(steps.initial);
    const wanted = await train(one, steps, 6);
    const got = await train(team, steps, 6);
    for (const [i, { loss, norm }] of wanted.told.entries()) {
      expect(Math.abs(got.told[i]!.loss / loss - 1)).toBeLessThan(1e-4);
      expect(Math.abs(got.told[i]!.norm / norm - 1)).toBeLessThan(1e-3);
    }
    expect(Object.keys(got.state)).toEqual(Object.keys(wanted.state));
    for (const [tensor, { dims, data }] of Object.entries(wanted.state)) {
      expect(got.state[tensor]!.dims).toEqual(dims);
      const values = got.state[tensor]!.data as Float32Array;
      // some gradients are rounding alone, which most optimizers make full steps of
      const off = (data as Float32Array).filter((value, i) => !(Math.abs(values[i]! - value) < 1e-4));
      const few = Math.max(2, values.length * 0.005);
      expect([tensor, off.length <= few]).toEqual([tensor, true]);
    }
  });

  it.each(['convolutions, by Adam', 'a text classifier with a table, a clipped norm and an average'])(
    'gives the same bits by one thread, two and five, and from a state in the middle: %s',
    async (name) => {
      const steps = stepsOf(cases[name]!);
      const ends = [];
      for (const threads of [1, 2, 5]) {
        await using team = await openDataParallelSession(steps.parallel, threads);
        team.setState(steps.initial);
        const { state } = await train(team, steps, 3);
        await using later = await openDataParallelSession(steps.parallel, 2);
        later.setState(state);
        ends.push(bitsOf((await train(team, steps, 3, 3)).state), bitsOf((await train(later, steps, 3, 3)).state));
      }
      for (const end of ends) expect(end).toEqual(ends[0]);
    },
  );

  it.each([
    ['convolutions', images],
    ['a table', texts],
  ])('changes nothing by a run that is not followed, and goes where the state is set: %s', async (_, of) => {
    const steps = stepsOf(of);
    await using team = await openDataParallelSession(steps.parallel, 2);
    team.setState(steps.initial);
    expect(() => team.advance()).toThrow('advance comes after a run');
    const first = await team.run(steps.feedsAt(0));
    expect(await team.run(steps.feedsAt(0))).toEqual(first);
    expect(bitsOf(await team.state())).toEqual(bitsOf(steps.initial));
    team.advance();
    const after = await team.state();
    expect(bitsOf(after)).not.toEqual(bitsOf(steps.initial));
    const broken = Object.entries(steps.initial).map(([name, { dims, data }]) => {
      return [name, { dims, data: new Float32Array(data.length).fill(NaN) }] as const;
    });
    team.setState(Object.fromEntries(broken));
    await team.run(steps.feedsAt(1));
    team.setState(steps.initial);
    await team.run(steps.feedsAt(1));
    team.advance();
    team.setState(steps.initial);
    expect(await team.run(steps.feedsAt(0))).toEqual(first);
    team.advance();
    expect(bitsOf(await team.state())).toEqual(bitsOf(after));
    expect(bitsOf(after)).not.toEqual(bitsOf(steps.initial));
  });

  it.each<StepOptions['optimizer']>([
    adam,
    { kind: 'sgd', momentum: 0, nesterov: false },
    { kind: 'sgd', momentum: 0.9, nesterov: false },
    { kind: 'sgd', momentum: 0.9, nesterov: true },
    { kind: 'rms_prop', decay: 0.5, epsilon: 1e-6, momentum: 0 },
    { kind: 'rms_prop', decay: 0.5, epsilon: 1e-6, momentum: 0.5 },
    { kind: 'adagrad', epsilon: 1e-6 },
  ])('gives the same bits in place and elsewhere: %o', async (optimizer) => {
    const { parallel } = stepsOf({ ...images, more: { optimizer, ema: 0.9, clipNorm: 1 } });
    const { model, blocks } = parallel.update([
      { row: 0, length: 640 },
      { row: 0, length: 64 },
    ]);
    const nextOf = new Map(
      blocks.flatMap(({ places }) => [...places.values()].map(({ now, next }) => [now, next] as const)),
    );
    const buffer = new SharedArrayBuffer(2 ** 20);
    let end = 0;
    const take = (dims: readonly number[]): SharedTensor => ({ type: 'float32', dims, at: (end += 4096) - 4096 });
    const inputs = model.graph.inputs.map(({ name, shape }) => [name, take(shape as number[])] as const);
    const elsewhere = new Map(inputs.map(([name, { dims }]) => [name, take(dims)]));
    const run = (outputs: (now: string, at: SharedTensor) => SharedTensor) => ({
      kind: 'run' as const,
      model: 0,
      inputs: Object.fromEntries(inputs),
      outputs: Object.fromEntries(
        inputs.flatMap(([now, at]) => (nextOf.has(now) ? [[nextOf.get(now)!, outputs(now, at)]] : [])),
      ),
    });
    const programs = [[run((now) => elsewhere.get(now)!)], [run((_, at) => at)]];
    const memory = new Float32Array(buffer).map((_, i) => ((i * 7919) % 1009) / 1009);
    new Float32Array(buffer).set(memory);
    await using team = await openTeam(buffer, [{ models: [{ model, threads: 1 }], programs }]);
    await team.run([0]);
    await team.run([1]);
    for (const [now, { at, dims }] of inputs) {
      if (!nextOf.has(now)) continue;
      const there = new Uint8Array(buffer, elsewhere.get(now)!.at, 4 * dims[0]!);
      expect([now, Buffer.compare(new Uint8Array(buffer, at, 4 * dims[0]!), there)]).toEqual([now, 0]);
    }
  });

  it('says what a thread failed at, and what it is not fed', async () => {
    const steps = stepsOf(texts);
    await using team = await openDataParallelSession(steps.parallel, 2);
    team.setState(steps.initial);
    const feeds = steps.feedsAt(0);
    const { features, targets } = steps.whole.inputs;
    const { [targets]: _left, ...less } = feeds;
    await expect(team.run(less)).rejects.toThrow(`'${targets}' is missing, wants [32]`);
    await expect(team.run(feeds, 'other')).rejects.toThrow('gathers no gradients');
    expect(() => team.setState({})).toThrow('is missing, wants');
    const data = BigInt64Array.from(feeds[features]!.data as BigInt64Array);
    data[40 * 32] = 3_000n; // in the second share
    await expect(team.run({ ...feeds, [features]: { dims: [32, 64], data } })).rejects.toThrow('out of data bounds');
    await expect(team.run(feeds)).rejects.toThrow('out of data bounds'); // it runs no more
  });
});
