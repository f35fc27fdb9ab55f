import { buildLayers } from './build-layers.js';
import { emit } from './emit.js';
import { fasterForms } from './faster-forms.js';
import { gradients } from './gradients.js';
import type { LayerSpec } from './layer-spec.js';
import * as op from './ops.js';
import { rectifiedMaxPoolInput } from './pooling-gradients.js';
import { numbers, runnable } from './run-for-tests.js';
import { trainingStep } from './training-step.js';
import { constant, input, operation, scalar, size } from './value.js';
import type { Shape, Value } from './value.js';

const [batch, channels] = [16, 32];
const map: Shape = [batch, channels, 8, 8];

/** A convolution that takes its examples last on the CPU, from so many spatial axes to as many places. */
const convolved = (x: Value, weight: Value): Value =>
  op.make('Conv', [x, weight], [x.shape[0]!, weight.shape[0]!, ...x.shape.slice(2)], 'float', {
    kernel_shape: op.intList(weight.shape.slice(2)),
    pads: op.intList([...weight.shape.slice(2), ...weight.shape.slice(2)].map(() => 1)),
  });

const offsets = constant(numbers(channels, { seed: 9 }), [channels, 1, 1]);
const scales = constant(numbers(channels, { seed: 8 }), [1, channels, 1, 1]);
const places = constant(numbers(64, { seed: 7 }), [8, 8]);
const windows = {
  kernel: [2, 4],
  strides: [2, 4],
  dilations: [1, 1],
  before: [0, 0],
  after: [0, 0],
  groups: 1,
};
const pooled = (opType: string, x: Value) =>
  op.make(opType, [x], [batch, channels, 4, 2], 'float', {
    kernel_shape: op.intList(windows.kernel),
    strides: op.intList(windows.strides),
  });
const batchNormal = (x: Value) => {
  const centred = op.sub(x, op.reduceMean(x, [0, 2, 3], true));
  const variance = op.reduceMean(op.mul(centred, centred), [0, 2, 3], true);
  return op.add(op.mul(op.div(centred, op.sqrt(op.add(variance, scalar(1e-5)))), scales), offsets);
};

interface Case {
  /** What stands between two convolutions; `other` is fed. */
  readonly of: (x: Value, other: Value) => Value;
  /** How often something is turned around, what goes in and comes out included. */
  readonly turns: number;
  readonly other?: Shape;
}

const cases: Readonly<Record<string, Case>> = {
  'an activation': { of: (x) => op.relu(x), turns: 2 },
  'one of several operators': { of: (x) => op.mul(x, op.sigmoid(op.times(x, 1.5))), turns: 2 },
  'a condition': { of: (x) => op.where(op.greater(x, scalar(0)), x, op.times(x, 0.1)), turns: 2 },
  'a scale and an offset per channel': { of: (x) => op.add(op.mul(x, scales), offsets), turns: 2 },
  'a batch normalization': { of: batchNormal, turns: 2 },
  'the largest of windows': { of: (x) => op.tanh(pooled('MaxPool', x)), turns: 2 },
  'the mean of windows': { of: (x) => op.tanh(pooled('AveragePool', x)), turns: 2 },
  'the largest of windows and where they are': {
    of: (x) => {
      const [y, positions] = operation(
        { opType: 'MaxPool', inputs: [x], attributes: attributesOf(pooled('MaxPool', x)) },
        (['float', 'int64'] as const).map((dataType) => ({ dataType, shape: [batch, channels, 4, 2] })),
      );
      return op.add(y!, op.times(op.cast(positions!, 'float', 1), 1e-6));
    },
    turns: 4, // the operator gives both, with the examples first
  },
  'an activation of what is repeated over windows': {
    of: (x) =>
      op.tanh(
        op.make('Resize', [pooled('MaxPool', x), undefined, constant([1, 1, 2, 4], [4])], map, 'float', {
          mode: { kind: 'string', value: 'nearest' },
          coordinate_transformation_mode: { kind: 'string', value: 'asymmetric' },
          nearest_mode: { kind: 'string', value: 'floor' },
        }),
      ),
    turns: 4,
  },
  'the gradient of a pool': {
    of: (x, g) => {
      const rectified = op.relu(x);
      return rectifiedMaxPoolInput(g, rectified, pooled('MaxPool', rectified), windows);
    },
    turns: 3,
    other: [batch, channels, 4, 2],
  },
  'a value that comes with the examples first': { of: (x, other) => op.add(op.relu(x), other), turns: 3, other: map },
  'one of which all is computed': {
    of: (x, other) => op.mul(x, op.positive(op.times(other, 2))),
    turns: 3,
    other: map,
  },
  // it differs from place to place, and is not turned: what it is added to comes first and goes back
  'a value that all examples share': { of: (x) => op.add(x, places), turns: 4 },
  'a value per example and channel': {
    of: (x, other) => op.mul(x, other),
    turns: 3,
    other: [batch, channels, 1, 1],
  },
  'the means of the maps': {
    of: (x) => op.mul(x, op.sigmoid(op.reduceMean(x, [2, 3], true))),
    turns: 2,
  },
};

it.each(Object.entries(cases))(
  'between convolutions %s keeps the examples last, with the same results',
  async (_, { of, turns, other = [1] }) => {
    const [x, w, v] = [input('x', map), input('w', [channels, channels, 3, 3]), input('v', [channels, channels, 3, 3])];
    const fed = input('other', other);
    const y = convolved(of(convolved(x, w), fed), v);
    const outputs = new Map([['y', y]]);
    const [plain, last] = [
      emit({ name: 'plain', inputs: [x, w, v, fed], outputs }),
      emit({ name: 'last', inputs: [x, w, v, fed], outputs, formOf: fasterForms([y]) }),
    ];
    expect(last.graph.nodes.filter(({ opType }) => opType === 'Transpose')).toHaveLength(turns);
    const feeds = Object.fromEntries(
      [x, w, v, fed].map(({ source, shape }, seed) => {
        const name = source.kind === 'input' ? source.name : '';
        return [name, { dims: shape, data: numbers(size(shape), { seed: seed + 1, high: name === 'x' ? 1 : 0.9 }) }];
      }),
    );
    const [want, got] = [await (await runnable(plain))(feeds), await (await runnable(last))(feeds)];
    expect(furthest(want['y']!, got['y']!)).toBeLessThan(1e-4 * deviation(want['y']!));
  },
);

it('the gradients of a network of convolutions, normalizations, a branch and pools are those of the plain one', async () => {
  const [x, w, v, u] = [
    input('x', map),
    input('w', [channels, channels, 3, 3]),
    input('v', [channels, channels, 3, 3]),
    input('u', [channels, channels, 3, 3]),
  ];
  const weights = [w, v, u];
  const first = op.relu(batchNormal(convolved(x, w)));
  const second = op.add(batchNormal(convolved(first, v)), first);
  const third = convolved(pooled('AveragePool', op.relu(second)), u);
  const loss = op.sum(
    op.mul(op.reduceMean(third, [2, 3], false), constant(numbers(batch * channels, { seed: 5 }), [batch, channels])),
  );
  const emitted = [false, true].map((columns) => {
    const found = gradients(loss, [x, ...weights], { columns });
    const outputs = new Map([
      ['loss', loss],
      ['to x', found.get(x)!],
      ...weights.map((weight, i) => [`to w${i}`, found.get(weight)!] as const),
    ]);
    const roots = [...outputs.values()];
    return emit({ name: 'step', inputs: [x, ...weights], outputs, ...(columns ? { formOf: fasterForms(roots) } : {}) });
  });
  const feeds = Object.fromEntries(
    [x, ...weights].map(({ source, shape }, seed) => [
      source.kind === 'input' ? source.name : '',
      { dims: shape, data: numbers(size(shape), { seed: seed + 1 }) },
    ]),
  );
  const [want, got] = await Promise.all(emitted.map(async (model) => (await runnable(model))(feeds)));
  for (const name of ['to x', 'to w0', 'to w1', 'to w2']) {
    expect(furthest(want![name]!, got![name]!)).toBeLessThan(1e-4 * deviation(want![name]!));
  }
  // the input and its gradient, kernels turned around, and what is pooled of each example
  expect(emitted[1]!.graph.nodes.filter(({ opType }) => opType === 'Transpose').length).toBeLessThan(20);
});

it('a pool whose positions nobody reads can be what a step gives', async () => {
  const [x, w] = [input('x', map), input('w', [channels, channels, 3, 3])];
  const convolution = convolved(x, w);
  const types = (['float', 'int64'] as const).map((dataType) => ({ dataType, shape: [batch, channels, 4, 2] }));
  const attributes = attributesOf(pooled('MaxPool', convolution));
  const [y, positions] = operation({ opType: 'MaxPool', inputs: [convolution], attributes }, types);
  const outputs = new Map([
    ['y', y!],
    ['at', op.cast(positions!, 'float', 1)],
  ]);
  const model = emit({ name: 'pool', inputs: [x, w], outputs, formOf: fasterForms([...outputs.values()]) });
  const feeds = Object.fromEntries(
    [x, w].map(({ shape }, i) => ['xw'.charAt(i), { dims: shape, data: numbers(size(shape), { seed: i + 1 }) }]),
  );
  const { y: pool, at } = await (await runnable(model))(feeds);
  expect([pool!.length, at!.length]).toEqual([batch * channels * 8, batch * channels * 8]);
});

it('a node of a step for the CPU is named after the layer that it computes a part of', () => {
  const convolution = {
    kind: 'conv2d',
    filters: 32,
    kernel: [3, 3],
    stride: [1, 1],
    padding: 'same',
    groups: 1,
  } as const;
  const layers: LayerSpec[] = [0, 1, 2].flatMap((): LayerSpec[] => [
    { ...convolution, activation: 'relu' },
    { kind: 'batch_norm', epsilon: 1e-5, momentum: 0.1 },
  ]);
  const { forward } = buildLayers([...layers, { kind: 'flatten' }, { kind: 'dense', units: 2 }], {
    featureShape: [32, 8, 8],
    random: (stream, count) => numbers(count, { seed: stream + 1 }),
    name: 'layers',
  });
  const { model } = trainingStep(forward, {
    batchSize: 16,
    loss: { kind: 'cross_entropy' },
    optimizer: { kind: 'sgd', momentum: 0, nesterov: false },
    columns: true,
  });
  const named = model.graph.nodes.map(({ name }) => name);
  const wanted = forward.graph.nodes.flatMap(({ opType, name }) => (['Conv', 'Relu'].includes(opType) ? [name] : []));
  expect(wanted).toHaveLength(6);
  for (const name of wanted) {
    // one layer's name may begin with another's
    const others = wanted.filter((other) => other.startsWith(`${name}.`));
    const parts = named.filter(
      (part) => part.startsWith(`${name}.`) && !others.some((other) => part.startsWith(`${other}.`)),
    );
    expect([name, parts.length > 0]).toEqual([name, true]);
  }
  expect(new Set(named).size).toBe(named.length);
});

const attributesOf = ({ source }: Value) => (source.kind === 'operation' ? source.operation.attributes : new Map());
const furthest = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
const deviation = (a: Float32Array) => Math.sqrt(a.reduce((all, value) => all + value * value, 0) / a.length);
