import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { attribute, emptyGraph, floatTensor, makeNode } from '@modelmill/onnx';
import type { Attribute, Model } from '@modelmill/onnx';
import { emit } from './emit.js';
import { TrainingFormError } from './errors.js';
import { gradients } from './gradients.js';
import * as op from './ops.js';
import { readGraph } from './read-graph.js';
import { piecesOf } from './recurrence.js';
import { runnableInDoubles } from './run-doubles-for-tests.js';
import { numbers, runnable } from './run-for-tests.js';
import type { Feeds } from './run-for-tests.js';
import { constant, size } from './value.js';
import type { Shape } from './value.js';

const gates = { LSTM: 4, GRU: 3, RNN: 1 } as const;
const outputNames = ['y', 'y_h', 'y_c'];

interface Variant {
  readonly opType: keyof typeof gates;
  readonly direction?: 'forward' | 'reverse' | 'bidirectional';
  /** Which of Y, Y_h and Y_c the graph uses; others are left out. */
  readonly outputs?: readonly string[];
  readonly biases?: boolean;
  readonly initial?: boolean;
  readonly time?: number;
  readonly batch?: number;
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

interface Sizes {
  readonly time: number;
  readonly batch: number;
  readonly width: number;
  readonly hidden: number;
}

const text = (value: string): Attribute => ({ kind: 'string', value });

/** One recurrent operator, all its used outputs in one row; `values` by input name, in the operator's order. */
function model(variant: Variant, sizes: Sizes, values: (name: string, shape: Shape) => ArrayLike<number>): Model {
  const { opType, direction = 'forward', outputs = outputNames, biases = true, initial = true } = variant;
  const { time, batch, width, hidden } = sizes;
  const directions = direction === 'bidirectional' ? 2 : 1;
  const rows = gates[opType] * hidden;
  const shapes: Record<string, Shape> = {
    w: [directions, rows, width],
    r: [directions, rows, hidden],
    ...(biases ? { b: [directions, 2 * rows] } : {}),
    ...(initial ? { h: [directions, batch, hidden] } : {}),
    ...(initial && opType === 'LSTM' ? { c: [directions, batch, hidden] } : {}),
  };
  const inputs = ['x', 'w', 'r', 'b', '', 'h', 'c'].map((name) => (name === 'x' || name in shapes ? name : ''));
  while (inputs.at(-1) === '') inputs.pop();
  const made = outputNames.slice(0, opType === 'LSTM' ? 3 : 2).map((name) => (outputs.includes(name) ? name : ''));
  while (made.at(-1) === '') made.pop();
  const used = made.filter((name) => name !== '');
  const attributes = { hidden_size: attribute(hidden), direction: text(direction), ...variant.attributes };
  const graph = emptyGraph('recurrent');
  graph.nodes.push(
    makeNode(opType, inputs, made, attributes, 'memory'),
    ...used.map((name) => makeNode('Flatten', [name], [`${name}.row`], { axis: attribute(0) })),
    makeNode(
      'Concat',
      used.map((name) => `${name}.row`),
      ['output'],
      { axis: attribute(1) },
    ),
  );
  for (const [name, shape] of Object.entries(shapes)) {
    graph.initializers.set(name, floatTensor(name, shape, values(name, shape)));
  }
  graph.inputs = [
    { name: 'x', dataType: 'float', shape: [time, batch, width] },
    ...Object.entries(shapes).map(([name, shape]) => ({ name, dataType: 'float' as const, shape })),
  ];
  graph.outputs = [{ name: 'output', dataType: 'float', shape: undefined }];
  return { irVersion: 8, opsets: new Map([['', 18]]), producer: '', metadata: new Map(), graph, functions: [] };
}

/** The training form: its output, and the gradients of weights · output, by input. */
function trainingForm(of: Model, time: number, weights: ArrayLike<number>): Model {
  const read = readGraph(of, time);
  const targets = [['x', read.features] as const, ...read.weights];
  const loss = op.sum(op.mul(read.output, constant(weights, read.output.shape)));
  const found = gradients(
    loss,
    targets.map(([, value]) => value),
  );
  const outputs = new Map([
    ['output', read.output],
    ...targets.map(([name, value]) => [`to ${name}`, found.get(value)!] as const),
  ]);
  return emit({ name: 'gradients', inputs: targets.map(([, value]) => value), outputs });
}

const sizes = { time: 3, batch: 2, width: 3, hidden: 2 };
const step = 1e-5;

const inPieces: readonly [string, Variant][] = [
  ['LSTM', { opType: 'LSTM' }],
  ['LSTM of which all states are used', { opType: 'LSTM', outputs: ['y'] }],
  ['LSTM of which the last cell is used', { opType: 'LSTM', outputs: ['y_c'] }],
  ['GRU', { opType: 'GRU' }],
  ['GRU that resets after its product', { opType: 'GRU', attributes: { linear_before_reset: attribute(1) } }],
  ['RNN without biases, of the last state', { opType: 'RNN', biases: false, outputs: ['y_h'] }],
];

const variants: readonly [string, Variant][] = [
  ...(['LSTM', 'GRU', 'RNN'] as const).flatMap((opType): [string, Variant][] => [
    [`${opType}`, { opType }],
    [`${opType} without biases`, { opType, biases: false }],
    [`${opType} that starts from zeros`, { opType, initial: false }],
    [`${opType} in reverse`, { opType, direction: 'reverse' }],
    [`${opType} in both directions`, { opType, direction: 'bidirectional' }],
    [`${opType} of one step`, { opType, time: 1 }],
    [`${opType} of which all states are used`, { opType, outputs: ['y'] }],
    [`${opType} of which the last state is used`, { opType, outputs: ['y_h'] }],
    [`${opType} in both directions, of the last state`, { opType, outputs: ['y_h'], direction: 'bidirectional' }],
  ]),
  ['LSTM of which the last cell is used', { opType: 'LSTM', outputs: ['y_c'] }],
  ['LSTM of which states and the last cell are used', { opType: 'LSTM', outputs: ['y', 'y_c'] }],
  ['LSTM of which the last state and cell are used', { opType: 'LSTM', outputs: ['y_h', 'y_c'] }],
  ...(
    [
      ['', {}],
      [', without biases', { biases: false }],
      [', in reverse', { direction: 'reverse' }],
      [', in both directions', { direction: 'bidirectional' }],
      [', of one step', { time: 1 }],
    ] as const
  ).map(([what, rest]): [string, Variant] => [
    `GRU that resets after its product${what}`,
    { opType: 'GRU', attributes: { linear_before_reset: attribute(1) }, ...rest },
  ]),
  ...inPieces.flatMap(([what, rest]) =>
    (['forward', 'reverse', 'bidirectional'] as const).map((direction): [string, Variant] => [
      `${what}, ${direction}, in pieces of 2, 2 and 1 steps`,
      { ...rest, direction, batch: 100, time: 5 },
    ]),
  ),
  ...(['LSTM', 'GRU', 'RNN'] as const).map((opType): [string, Variant] => [
    `${opType} in both directions, in pieces of 3, 3 and 1 steps`,
    { opType, direction: 'bidirectional', batch: 80, time: 7 },
  ]),
  [
    'LSTM of activations by name',
    {
      opType: 'LSTM',
      attributes: { activations: { kind: 'strings', value: ['Sigmoid', 'Tanh', 'Tanh'] } },
    },
  ],
];

describe('recurrent operators', () => {
  it.each([
    [64, 32, 128, Array<number>(8).fill(8)],
    [5, 100, 2, [2, 2, 1]],
    [3, 2, 2, [3]],
    [7, 80, 2, [3, 3, 1]],
    [3, 1000, 8, [1, 1, 1]],
    [64, 32, 512, [64]],
  ])('%d steps of %d examples and %d units lie in pieces of %j steps', (time, batch, hidden, pieces) => {
    expect(piecesOf(time, batch, hidden)).toEqual(pieces);
  });

  it.each(variants)(
    "%s: the training form is ONNX Runtime's operator, and its gradients that operator's differences",
    async (_, variant) => {
      const { time = sizes.time, batch = sizes.batch } = variant;
      const seeds = ['x', 'w', 'r', 'b', 'h', 'c'];
      const of = model(variant, { ...sizes, time, batch }, (name, shape) =>
        numbers(size(shape), { seed: seeds.indexOf(name) + 1 }),
      );
      const feeds: Feeds = Object.fromEntries(
        of.graph.inputs.map(({ name, shape }) => {
          const dims = shape as number[];
          return [name, { dims, data: numbers(size(dims), { seed: seeds.indexOf(name) + 1 }) }];
        }),
      );
      // without initializers: ONNX Runtime packs those of these operators once, and ignores what is fed
      const bare = { ...of, graph: { ...of.graph, initializers: new Map() } };
      const { output: wanted } = await (await runnable(bare))(feeds);
      const weights = numbers(wanted!.length, { seed: 77 });
      const form = trainingForm(of, time, weights);
      const inFloats = await (await runnable(form))(feeds);
      expect(largestDifference(inFloats['output']!, wanted!)).toBeLessThan(1e-5);

      const [node, inDoubles] = await Promise.all([bare, form].map(runnableInDoubles));
      const doubles = Object.fromEntries(
        Object.entries(feeds).map(([name, { dims, data }]) => [
          name,
          { dims, data: Float64Array.from(data as Float32Array) },
        ]),
      );
      const { output } = await node!(doubles);
      const got = await inDoubles!(doubles);
      expect(largestDifference(wanted!, output!.data)).toBeLessThan(1e-5);
      expect(largestDifference(got['output']!.data, output!.data)).toBeLessThan(1e-12);
      const lossWith = async (name: string, at: number, by: number) => {
        const { dims, data } = doubles[name]!;
        const moved = data.map((value, i) => (i === at ? value + by : value));
        const made = await node!({ ...doubles, [name]: { dims, data: moved } });
        return made['output']!.data.reduce((sum, value, i) => sum + value * weights[i]!, 0);
      };
      for (const [name, { data }] of Object.entries(doubles)) {
        // of many, some
        const every = data.length > 1000 ? 41 : data.length > 100 ? 13 : 1;
        const places = [...data.keys()].filter((at) => at % every === 0);
        const differences = new Float64Array(places.length);
        for (const [i, at] of places.entries()) {
          differences[i] = ((await lossWith(name, at, step)) - (await lossWith(name, at, -step))) / (2 * step);
        }
        const found = Float64Array.from(places, (at) => got[`to ${name}`]!.data[at]!);
        expect({ name, worst: largestDifference(found, differences) }).toEqual({ name, worst: expect.closeTo(0, 7) });
        const floats = Float32Array.from(places, (at) => inFloats[`to ${name}`]![at]!);
        expect({ name, worst: largestDifference(floats, found) }).toEqual({ name, worst: expect.closeTo(0, 4) });
        expect(differences.some((difference) => Math.abs(difference) > 0.001)).toBe(true);
      }
    },
  );

  it.each<[string, Variant['opType'], Record<string, Attribute>, string]>([
    ['other activations', 'LSTM', { activations: { kind: 'strings', value: ['Sigmoid', 'Relu', 'Tanh'] } }, 'Relu'],
    [
      'other activations of the second direction',
      'GRU',
      {
        direction: text('bidirectional'),
        activations: { kind: 'strings', value: ['Sigmoid', 'Tanh', 'HardSigmoid', 'Tanh'] },
      },
      'HardSigmoid',
    ],
    ['a clip', 'RNN', { clip: { kind: 'float', value: 1 } }, 'a clip'],
    ['coupled gates', 'LSTM', { input_forget: attribute(1) }, 'coupled input and forget gates'],
    ['batches before time', 'LSTM', { layout: attribute(1) }, 'layout 1'],
  ])('of %s are refused, and the node is named', (_, opType, attributes, reason) => {
    const of = model({ opType, attributes }, sizes, (__, shape) => new Float32Array(size(shape)));
    expect(() => readGraph(of, sizes.time)).toThrow(TrainingFormError);
    expect(() => readGraph(of, sizes.time)).toThrow(`${opType} (node 'memory') has`);
    expect(() => readGraph(of, sizes.time)).toThrow(reason);
  });

  it.each([
    [4, 'sequence_lens'],
    [7, 'peepholes'],
  ])('of input %i, %s, are refused', (position, reason) => {
    const of = model({ opType: 'LSTM' }, sizes, (__, shape) => new Float32Array(size(shape)));
    const { inputs } = of.graph.nodes[0]!;
    const replaced = Array.from({ length: Math.max(inputs.length, position + 1) }, (_, i) => inputs[i] ?? '');
    replaced[position] = 'w';
    of.graph.nodes[0] = { ...of.graph.nodes[0]!, inputs: replaced };
    expect(() => readGraph(of, sizes.time)).toThrow(`LSTM (node 'memory') has ${reason}`);
  });
});

interface Vectors {
  readonly torch: string;
  readonly cases: readonly {
    readonly name: string;
    readonly op: Variant['opType'];
    readonly direction: NonNullable<Variant['direction']>;
    readonly linear_before_reset: number;
    readonly sizes: Sizes;
    /** By input name: what is fed, and its gradient. */
    readonly inputs: Readonly<Record<string, { readonly values: number[]; readonly gradient: number[] }>>;
    readonly weights: readonly number[];
    readonly output: readonly number[];
  }[];
}

/** Made by bench/peers/make_torch_recurrent_vectors.py. */
const vectors = JSON.parse(
  readFileSync(fileURLToPath(new URL('torch-recurrent-vectors.json', import.meta.url)), 'utf8'),
) as Vectors;

describe(`PyTorch ${vectors.torch}`, () => {
  it.each(vectors.cases.map((one) => [one.name, one] as const))(
    'has the same states and gradients of %s',
    async (_, { op: opType, direction, linear_before_reset: after, sizes: of, inputs, weights, output }) => {
      const attributes: Record<string, Attribute> = after ? { linear_before_reset: attribute(1) } : {};
      const made = model({ opType, direction, attributes }, of, (name) => inputs[name]!.values);
      const feeds = Object.fromEntries(
        made.graph.inputs.map(({ name, shape }) => [
          name,
          { dims: shape as number[], data: Float32Array.from(inputs[name]!.values) },
        ]),
      );
      const got = await (await runnable(trainingForm(made, of.time, weights)))(feeds);
      expect(largestDifference(got['output']!, output)).toBeLessThan(2e-6);
      for (const [name, { gradient }] of Object.entries(inputs)) {
        expect({ name, worst: largestDifference(got[`to ${name}`]!, gradient) }).toEqual({
          name,
          worst: expect.closeTo(0, 4.7),
        });
        expect(gradient.some((g) => Math.abs(g) > 0.1)).toBe(true);
      }
    },
  );
});

/** Relative to numbers above 1. */
function largestDifference(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  if (got.length !== wanted.length) return Infinity;
  return Math.max(...Array.from(wanted, (value, i) => Math.abs(value - got[i]!) / (1 + Math.abs(value))));
}
