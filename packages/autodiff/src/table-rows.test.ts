import { int64Tensor, makeNode } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { buildLayers } from './build-layers.js';
import { runnableInDoubles } from './run-doubles-for-tests.js';
import type { MixedFeeds } from './run-doubles-for-tests.js';
import { numbers, runnable } from './run-for-tests.js';
import type { OptimizerSpec, StepOptions } from './step-options.js';
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

/** The table is read at the tokens, and again counted from its end: one row has two places. */
function readTwice(): Model {
  const { graph } = forward;
  const reads = graph.nodes.find(({ opType }) => opType === 'Gather')!;
  const [table, tokens] = reads.inputs as [string, string];
  const [read] = reads.outputs as [string];
  const nodes = graph.nodes.flatMap((node) => {
    if (node !== reads) return [node];
    return [
      { ...node, outputs: ['first'] },
      makeNode('Sub', ['last', tokens], ['from_end']),
      makeNode('Gather', [table, 'from_end'], ['second']),
      makeNode('Add', ['first', 'second'], [read]),
    ];
  });
  const initializers = new Map([...graph.initializers, ['last', int64Tensor('last', [], [-1])]]);
  return { ...forward, graph: { ...graph, nodes, initializers } };
}

type Rest = Partial<Pick<StepOptions, 'columns' | 'clipNorm' | 'accumulate' | 'ema' | 'clipValue'>>;

const step = (optimizer: OptimizerSpec, rest: Rest, of = forward) =>
  trainingStep(of, {
    batchSize,
    exampleShape: [time],
    loss: { kind: 'cross_entropy' },
    optimizer,
    ...rest,
  });

const scalar = (value: number) => ({ dims: [], data: Float64Array.of(value) });
const adam = { kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 } as const;

const everywhere = (i: number, t: number) => (i * i * t) % vocabulary;
/** Of every third its place counted from the end: rows are read by either. */
const fromEnd = (i: number, t: number) => everywhere(i, t) - (i % 3 === 0 ? vocabulary : 0);

type Found = Readonly<Record<string, ArrayLike<number>>>;

/** In floats, as training has them. */
const inFloats = async (model: Model): Promise<(feeds: MixedFeeds) => Promise<Found>> => {
  const run = await runnable(model);
  const floats = ({ dims, data }: MixedFeeds[string]) =>
    data instanceof BigInt64Array ? { dims, data } : { dims, data: Float32Array.from(data) };
  return (feeds) => run(Object.fromEntries(Object.entries(feeds).map(([name, x]) => [name, floats(x)])));
};

/** In doubles, in which another order of sums makes no difference. */
const inDoubles = async (model: Model): Promise<(feeds: MixedFeeds) => Promise<Found>> => {
  const run = await runnableInDoubles(model);
  return async (feeds) => Object.fromEntries(Object.entries(await run(feeds)).map(([name, { data }]) => [name, data]));
};

/** Loss, norm and state after three updates; each batch reads other rows, some of them many times. */
async function after(
  form: ReturnType<typeof step>,
  open = inDoubles,
  { accumulate = 1 }: Rest = {},
  tokenAt = everywhere,
) {
  const { model, gather } = form;
  const [updates, gathers] = await Promise.all([model, gather?.model].map((one) => one && open(one)));
  const { features, targets, learningRate, corrections } = form.inputs;
  let all: Found = {};
  const state = new Map(
    form.state.map(({ input, dims, initial }) => [input, { dims, data: Float64Array.from(initial) }]),
  );
  for (let t = 1; t <= 3 * accumulate; t++) {
    const isWhole = t % accumulate === 0;
    const update = Math.ceil(t / accumulate);
    const tokens = BigInt64Array.from({ length: batchSize * time }, (_, i) => BigInt(tokenAt(i, t)));
    const feeds: MixedFeeds = {
      [features]: { dims: [batchSize, time], data: tokens },
      [targets]: { dims: [batchSize], data: BigInt64Array.from({ length: batchSize }, (_, i) => BigInt(i % 2)) },
      [learningRate]: scalar(0.1),
      ...(corrections
        ? { [corrections.c1]: scalar(1 / (1 - 0.9 ** update)), [corrections.c2]: scalar(1 / (1 - 0.999 ** update)) }
        : {}),
      ...Object.fromEntries(state),
    };
    const taken = (isWhole ? model : gather!.model).graph.inputs.map(({ name }) => [name, feeds[name]!] as const);
    const outputs = await (isWhole ? updates : gathers)!(Object.fromEntries(taken));
    all = { ...all, ...outputs };
    for (const { input, output, dims } of form.state) {
      const next = outputs[output];
      if (next) state.set(input, { dims, data: Float64Array.from(next) });
    }
  }
  return all;
}

/** Relative to the largest of each. */
function expectSame(got: Found, wanted: Found, digits: number): void {
  expect(Object.keys(got)).toEqual(Object.keys(wanted));
  for (const [name, values] of Object.entries(wanted)) {
    const all = Array.from(values);
    const largest = all.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const off = all.reduce((most, value, i) => Math.max(most, Math.abs(value - got[name]![i]!)), 0);
    if (!name.startsWith('next/gradient')) expect(largest).toBeGreaterThan(0); // those begin anew
    expect({ name, off: off / (largest || 1) }).toEqual({ name, off: expect.closeTo(0, digits) });
  }
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
    expectSame(await after(rows, inFloats), await after(whole, inFloats), 5);
  });

  it.each<[string, Rest, Model?, typeof fromEnd?]>([
    ['of places counted from the end', {}, forward, fromEnd],
    ['of places counted from the end, clipped', { clipNorm: 0.001 }, forward, fromEnd],
    ['read twice', {}, readTwice()],
    ['read twice, from the end, clipped', { clipNorm: 0.001 }, readTwice(), fromEnd],
    ['gathered over three batches', { accumulate: 3 }],
    ['gathered over two batches, clipped', { accumulate: 2, clipNorm: 0.001 }],
    ['gathered over two batches, read twice, from the end', { accumulate: 2 }, readTwice(), fromEnd],
    ['clipped element by element', { clipValue: 1e-5 }],
    ['whose weights are averaged', { ema: 0.9 }],
  ])('are moved as the table would be, %s', async (_, rest, of = forward, tokenAt = everywhere) => {
    const [rows, whole] = [step(adam, { ...rest, columns: true }, of), step(adam, rest, of)];
    expect(scatters(rows)).toContain('sets');
    expect(scatters(whole)).not.toContain('sets');
    expectSame(await after(rows, inDoubles, rest, tokenAt), await after(whole, inDoubles, rest, tokenAt), 10);
  });

  it('are added up among themselves in a step for the CPU, and each mean of Adam takes them once', () => {
    expect(scatters(step(adam, { columns: true }))).toEqual(['sets', 'adds', 'adds', 'sets', 'sets']);
    expect(scatters(step(adam, {}))).toEqual(['adds', 'adds']);
  });
});
