import { attribute, int64Tensor, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Model, Node, Tensor } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { modelOf, numbers } from '../models-for-tests.js';
import { dropBlocks } from './drop-blocks.js';
import { tensor } from './nets-for-tests.js';

/** Blocks by their numbers, which their weights follow; of a number that follows it, `output` is the last one. */
interface Kind {
  readonly example: readonly number[];
  readonly output: readonly number[];
  readonly begin: readonly Node[];
  block(x: string, y: string, name: string): readonly [Node[], Tensor[]];
  end(x: string): readonly [Node[], Tensor[]];
}

const gemm = (x: string, w: string, y: string) => makeNode('Gemm', [x, `${w}.w`, `${w}.b`], [y]);
const ends = (x: string): readonly [Node[], Tensor[]] => [
  [makeNode('Flatten', [x], ['flat']), makeNode('MatMul', ['flat', 'w'], ['y'])],
  [tensor('w', [24, 3])],
];

const kinds: Readonly<Record<string, Kind>> = {
  'an MLP': {
    example: [24],
    output: [3],
    begin: [makeNode('Tanh', ['input'], ['first'])],
    block: (x, y, name) => [
      [gemm(x, name, `${name}.sum`), makeNode('Relu', [`${name}.sum`], [y])],
      [tensor(`${name}.w`, [24, 24]), tensor(`${name}.b`, [24])],
    ],
    end: ends,
  },
  'a residual network': {
    example: [24],
    output: [3],
    begin: [makeNode('Tanh', ['input'], ['first'])],
    block: (x, y, name) => [
      [
        gemm(x, `${name}.up`, `${name}.sum`),
        makeNode('Relu', [`${name}.sum`], [`${name}.hidden`]),
        makeNode('MatMul', [`${name}.hidden`, `${name}.down`], [`${name}.out`]),
        makeNode('Add', [`${name}.out`, x], [y]),
      ],
      [tensor(`${name}.up.w`, [24, 12]), tensor(`${name}.up.b`, [12]), tensor(`${name}.down`, [12, 24])],
    ],
    end: ends,
  },
  'a transformer': {
    example: [3, 8],
    output: [3],
    begin: [makeNode('Tanh', ['input'], ['first'])],
    block: (x, y, name) => [
      [
        makeNode('LayerNormalization', [x, `${name}.scale`], [`${name}.n`]),
        ...['q', 'k', 'v'].map((part) => makeNode('MatMul', [`${name}.n`, `${name}.${part}.w`], [`${name}.${part}`])),
        makeNode('Transpose', [`${name}.k`], [`${name}.kt`], { perm: attribute([0, 2, 1]) }),
        makeNode('MatMul', [`${name}.q`, `${name}.kt`], [`${name}.scores`]),
        makeNode('Softmax', [`${name}.scores`], [`${name}.shares`], { axis: attribute(-1) }),
        makeNode('MatMul', [`${name}.shares`, `${name}.v`], [`${name}.found`]),
        makeNode('Add', [`${name}.found`, x], [`${name}.r`]),
        makeNode('MatMul', [`${name}.r`, `${name}.f`], [`${name}.up`]),
        makeNode('Relu', [`${name}.up`], [`${name}.hidden`]),
        makeNode('MatMul', [`${name}.hidden`, `${name}.g`], [`${name}.down`]),
        makeNode('Add', [`${name}.r`, `${name}.down`], [y]),
      ],
      [
        tensor(`${name}.scale`, [8]),
        ...['q', 'k', 'v'].map((part) => tensor(`${name}.${part}.w`, [8, 8])),
        tensor(`${name}.f`, [8, 16]),
        tensor(`${name}.g`, [16, 8]),
      ],
    ],
    end: ends,
  },
  'blocks with nothing behind them': {
    example: [24],
    output: [24],
    begin: [makeNode('Tanh', ['input'], ['first'])],
    block: (x, y, name) => [
      [gemm(x, name, `${name}.sum`), makeNode('Tanh', [`${name}.sum`], [y])],
      [tensor(`${name}.w`, [24, 24]), tensor(`${name}.b`, [24])],
    ],
    end: (x) => [[makeNode('Identity', [x], ['y'])], []],
  },
};

function build({ example, output, begin, block, end }: Kind, blocks: readonly number[]): Model {
  const made = blocks.map((number, i) => {
    const x = i === 0 ? 'first' : `x${blocks[i - 1]}`;
    return block(x, `x${number}`, 'block'.padEnd(6 + number, number.toString()));
  });
  const [last, lastTensors] = end(`x${blocks.at(-1)}`);
  const nodes = [...begin, ...made.flatMap(([of]) => of), ...last];
  return modelOf(example, nodes, [...made.flatMap(([, of]) => of), ...lastTensors], output);
}

async function answer(model: Model): Promise<Float32Array> {
  await using session = await openSession(writeOnnx(model), { providers: ['cpu'], graphOptimization: 'disabled' });
  const [, ...example] = model.graph.inputs[0]!.shape as number[];
  const input = { dims: [2, ...example], data: numbers(2 * example.reduce((a, b) => a * b, 1)) };
  return (await session.run({ input }))['y']!.data as Float32Array;
}

describe('dropping blocks', () => {
  it.each(Object.entries(kinds))('of %s leaves the network of the others', async (_, kind) => {
    const dense = build(kind, [0, 1, 2, 3, 4]);
    const half = dropBlocks(dense, 2);
    expect(half).toMatchObject({ blocks: 5, kept: 3 });
    const [got, wanted, before] = await Promise.all([half.model, build(kind, [0, 2, 4]), dense].map(answer));
    expect(got).toEqual(wanted);
    expect(got).not.toEqual(before);
    const third = dropBlocks(dense, 3);
    expect(third).toMatchObject({ blocks: 5, kept: 2 });
    expect(await answer(third.model)).toEqual(await answer(build(kind, [0, 3])));
  });

  it('drops the last block where the graph ends with it', async () => {
    const kind = kinds['blocks with nothing behind them']!;
    const dense = build(kind, [0, 1]);
    dense.graph.nodes = dense.graph.nodes.slice(0, -1);
    for (const node of dense.graph.nodes) node.outputs = node.outputs.map((name) => (name === 'x1' ? 'y' : name));
    const { model } = dropBlocks(dense, 2);
    expect(await answer(model)).toEqual(await answer(build(kind, [0])));
  });

  it.each<[string, Model]>([
    ['of other sizes', sized([24, 16, 16, 8, 3])],
    ['with nothing to learn', modelOf([4], ['a', 'b', 'y'].map((name, i, all) => makeNode('Relu', [all[i - 1] ?? 'input'], [name])), [], [4])], // prettier-ignore
    ['that shrink their input', shrinking()],
  ])('takes none %s for another', (_, model) =>
    expect(() => dropBlocks(model, 2)).toThrow(
      'there are no blocks to drop: none of one value in and one out, with the same operators and sizes is followed by ' +
        'another like it',
    ),
  );
});

function sized(widths: readonly number[]): Model {
  const layers = widths.slice(1).map((to, i) => ({ from: widths[i]!, to, x: i === 0 ? 'input' : `h${i - 1}` }));
  return modelOf(
    [widths[0]!],
    layers.map(({ x }, i) => makeNode('MatMul', [x, `w${i}`], [i === layers.length - 1 ? 'y' : `h${i}`])),
    layers.map(({ from, to }, i) => tensor(`w${i}`, [from, to])),
    [widths.at(-1)!],
  );
}

/** A depth-wise convolution and a pool, over and over: equal nodes and weights, on ever smaller maps. */
function shrinking(): Model {
  const block = (x: string, name: string, y: string) => [
    makeNode('Conv', [x, `${name}.w`], [name], { pads: attribute([1, 1, 1, 1]) }),
    makeNode('MaxPool', [name], [y], { kernel_shape: attribute([2, 2]), strides: attribute([2, 2]) }),
  ];
  return modelOf(
    [2, 8, 8],
    [
      ...block('input', 'a', 'b'),
      ...block('b', 'c', 'd'),
      makeNode('Reshape', ['d', 'flat'], ['e']),
      makeNode('MatMul', ['e', 'w'], ['y']),
    ],
    [tensor('a.w', [2, 2, 3, 3]), tensor('c.w', [2, 2, 3, 3]), int64Tensor('flat', [2], [0, 8]), tensor('w', [8, 3])],
    [3],
  );
}
