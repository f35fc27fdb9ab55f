import { attribute, cloneModel, floatTensor, int64Tensor, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Graph, Model, Node, Tensor } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { modelOf, numbers } from '../models-for-tests.js';
import { exampleOf } from '../quantize/quantize-for-tests.js';
import { constantNode } from './scope.js';
import { simplify } from './simplify.js';

jest.setTimeout(120_000);

const signal = new AbortController().signal;
const simplified = (model: Model, mostBytes = 2 ** 16) => simplify(model, { mostBytes, signal });
const ops = ({ graph }: Model) => graph.nodes.map(({ opType }) => opType);

async function answersOf(model: Model, batch: number): Promise<Record<string, ArrayLike<number>>> {
  await using session = await openSession(writeOnnx(model), { providers: ['cpu'], graphOptimization: 'disabled' });
  const [input] = model.graph.inputs;
  const results = await session.run({ [input!.name]: exampleOf([batch, ...(input!.shape!.slice(1) as number[])]) });
  return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data as Float32Array]));
}

async function expectSameAnswers(got: Model, wanted: Model): Promise<void> {
  for (const batch of [1, 3]) {
    const [a, b] = [await answersOf(got, batch), await answersOf(wanted, batch)];
    expect(Object.keys(a)).toEqual(Object.keys(b));
    for (const name of Object.keys(b)) {
      expect(a[name]).toHaveLength(b[name]!.length);
      const far = Array.from(b[name]!, (value, i) => Math.abs(a[name]![i]! - value) / (1 + Math.abs(value)));
      expect(Math.max(...far)).toBeLessThan(1e-5);
    }
  }
}

const some = (name: string, dims: readonly number[]) =>
  floatTensor(
    name,
    dims,
    numbers(dims.reduce((all, size) => all * size, 1)).map((value, i) => value + name.length + (i % 3)),
  );
const ints = (name: string, values: readonly number[]) => int64Tensor(name, [values.length], values);
const frozen = (tensor: Tensor): Node => constantNode(tensor);
const conv = (bias: string[] = []) => makeNode('Conv', ['input', 'w', ...bias], ['c'], {}, 'conv');
const kernels = () => some('w', [4, 3, 2, 2]);
const norm = (from: string, to: string) => makeNode('BatchNormalization', [from, 'g', 'b', 'm', 'v'], [to]);
const normOf = (channels: number) => [
  some('g', [channels]),
  some('b', [channels]),
  some('m', [channels]),
  floatTensor(
    'v',
    [channels],
    numbers(channels).map((value) => 1.5 + value),
  ),
];
const turn = (from: string, to: string, perm: number[]) =>
  makeNode('Transpose', [from], [to], { perm: attribute(perm) });

/** What it is, the model, and the operators that are left of it. */
const cases: readonly (readonly [string, Model, readonly string[]])[] = [
  [
    'takes out what gives what it is given',
    modelOf(
      [6],
      [
        makeNode('Identity', ['input'], ['a']),
        makeNode('Dropout', ['a'], ['d', 'mask']),
        makeNode('Cast', ['d'], ['e'], { to: attribute(1) }),
        makeNode('Flatten', ['e'], ['f'], { axis: attribute(1) }),
        makeNode('Relu', ['f'], ['g']),
        turn('g', 'h', [0, 1]),
        makeNode('Mul', ['h', 'one'], ['i']),
        makeNode('Identity', ['i'], ['y']),
      ],
      [floatTensor('one', [], [1])],
      [6],
    ),
    ['Relu'],
  ],
  [
    'merges transpositions, also across what does the same to every element',
    modelOf(
      [2, 3, 4],
      [
        turn('input', 'a', [0, 2, 3, 1]),
        makeNode('Relu', ['a'], ['b']),
        makeNode('Sigmoid', ['b'], ['c']),
        turn('c', 'd', [0, 3, 1, 2]),
        turn('d', 'e', [0, 3, 2, 1]),
        turn('e', 'y', [0, 2, 1, 3]),
      ],
      [],
      [3, 4, 2],
    ),
    ['Relu', 'Sigmoid', 'Transpose'],
  ],
  [
    'lets what meets between transpositions meet without them',
    modelOf(
      [2, 3],
      [
        turn('input', 'a', [0, 2, 1]),
        makeNode('Relu', ['input'], ['r']),
        turn('r', 'b', [0, 2, 1]),
        makeNode('Add', ['a', 'b'], ['s']),
        turn('s', 'y', [0, 2, 1]),
      ],
      [],
      [2, 3],
    ),
    ['Relu', 'Add'],
  ],
  [
    'merges reshapes',
    modelOf(
      [2, 3, 4],
      [
        makeNode('Reshape', ['input', 'first'], ['a']),
        makeNode('Unsqueeze', ['a', 'axis'], ['b']),
        makeNode('Reshape', ['b', 'second'], ['y']),
      ],
      [ints('first', [0, -1]), ints('axis', [1]), ints('second', [-1, 4, 6])],
      [4, 6],
    ),
    ['Reshape'],
  ],
  [
    'makes shapes that are computed constant, the open axis excepted',
    modelOf(
      [4, 6],
      [
        makeNode('Shape', ['input'], ['shape']),
        makeNode('Gather', ['shape', 'zero'], ['n']),
        makeNode('Gather', ['shape', 'two'], ['width']),
        makeNode('Div', ['width', 'parts'], ['part']),
        makeNode('Unsqueeze', ['n', 'axis'], ['n1']),
        makeNode('Unsqueeze', ['part', 'axis'], ['p1']),
        makeNode('Concat', ['n1', 'four', 'halves', 'p1'], ['to'], { axis: attribute(0) }),
        makeNode('Reshape', ['input', 'to'], ['y']),
      ],
      [
        int64Tensor('zero', [], [0]),
        int64Tensor('two', [], [2]),
        int64Tensor('parts', [], [2]),
        ints('axis', [0]),
        ints('four', [4]),
        ints('halves', [2]),
      ],
      [4, 2, 3],
    ),
    ['Reshape'],
  ],
  [
    'folds a normalization, a factor and a sum into a convolution',
    modelOf(
      [3, 5, 5],
      [
        conv(),
        norm('c', 'n'),
        makeNode('Mul', ['n', 'factor'], ['f']),
        makeNode('Div', ['f', 'divisor'], ['h']),
        makeNode('Add', ['offset', 'h'], ['s']),
        makeNode('Sub', ['s', 'two'], ['y']),
      ],
      [
        kernels(),
        ...normOf(4),
        some('factor', [4, 1, 1]),
        some('divisor', [1, 4, 1, 1]),
        some('offset', [1, 4, 1, 1]),
        floatTensor('two', [], [2]),
      ],
      [4, 4, 4],
    ),
    ['Conv'],
  ],
  [
    'folds what an input is multiplied with, and the zeros around it',
    modelOf(
      [3, 5, 5],
      [
        frozen(some('scale', [3, 1, 1])),
        makeNode('Mul', ['input', 'scale'], ['a']),
        makeNode('Pad', ['a', 'pads'], ['p']),
        makeNode('Conv', ['p', 'w', 'b'], ['y'], { pads: attribute([0, 1, 0, 1]) }),
      ],
      [kernels(), some('b', [4]), ints('pads', [0, 0, 1, 1, 0, 0, 2, 0])],
      [4, 7, 7],
    ),
    ['Conv'],
  ],
  [
    'makes a Gemm of a product of matrices, its sum and its normalization',
    modelOf(
      [6],
      [
        makeNode('MatMul', ['input', 'first'], ['a']),
        norm('a', 'b0'),
        makeNode('Relu', ['b0'], ['r']),
        makeNode('MatMul', ['r', 'second'], ['c']),
        makeNode('Add', ['c', 'row'], ['y']),
      ],
      [some('first', [6, 5]), ...normOf(5), some('second', [5, 7]), some('row', [7])],
      [7],
    ),
    ['Gemm', 'Relu', 'Gemm'],
  ],
  [
    'leaves a product of wider tensors, and a sum along another axis, as they are',
    modelOf(
      [4, 4],
      [
        makeNode('MatMul', ['input', 'w4'], ['a']),
        makeNode('Add', ['a', 'column'], ['b']),
        makeNode('Add', ['b', 'row'], ['y']),
      ],
      [some('w4', [4, 4]), some('column', [4, 1]), some('row', [4])],
      [4, 4],
    ),
    ['MatMul', 'Add', 'Add'],
  ],
  [
    'shares nodes that compute the same',
    modelOf(
      [6],
      [
        makeNode('Relu', ['input'], ['a']),
        makeNode('Relu', ['input'], ['b']),
        makeNode('LeakyRelu', ['input'], ['c'], { alpha: { kind: 'float', value: 0.25 } }),
        makeNode('LeakyRelu', ['input'], ['d'], { alpha: { kind: 'float', value: 0.5 } }),
        makeNode('Sum', ['a', 'b', 'c', 'd'], ['y']),
      ],
      [],
      [6],
    ),
    ['Relu', 'LeakyRelu', 'LeakyRelu', 'Sum'],
  ],
  [
    'computes what follows from constants',
    modelOf(
      [70],
      [
        turn('w70', 'turned', [1, 0]),
        makeNode('Mul', ['turned', 'scale'], ['scaled']),
        makeNode('Exp', ['scaled'], ['grown']),
        makeNode('MatMul', ['input', 'grown'], ['y']),
      ],
      [floatTensor('w70', [40, 70], numbers(2800)), floatTensor('scale', [40], numbers(40))],
      [40],
    ),
    ['MatMul'],
  ],
];

describe('simplification', () => {
  it.each(cases)('%s, and answers the same', async (_, model, wanted) => {
    const before = writeOnnx(cloneModel(model));
    const { model: made, done } = await simplified(model);
    expect(ops(made).sort()).toEqual([...wanted].sort());
    await expectSameAnswers(made, model);
    expect(writeOnnx(model)).toEqual(before);
    if (ops(model).length === wanted.length) expect([...done]).toEqual([]);
    // there is nothing left to do
    expect([...(await simplified(made)).done]).toEqual([]);
  });

  it('takes nothing that is read elsewhere: a value that is an output, too, or has two readers', async () => {
    const model = modelOf(
      [3, 5, 5],
      [
        conv(),
        norm('c', 'n'),
        turn('n', 't', [0, 2, 3, 1]),
        turn('t', 'u', [0, 3, 1, 2]),
        makeNode('Relu', ['t'], ['z']),
        makeNode('Identity', ['u'], ['y']),
      ],
      [kernels(), ...normOf(4)],
      [4, 4, 4],
    );
    model.graph.outputs.push({ name: 'c', dataType: 'float', shape: undefined });
    model.graph.outputs.push({ name: 'z', dataType: 'float', shape: undefined });
    const { model: made } = await simplified(model);
    expect(ops(made).sort()).toEqual(['BatchNormalization', 'Conv', 'Relu', 'Transpose']);
    await expectSameAnswers(made, model);
  });

  it('keeps an output that is its input, and one that is a constant', async () => {
    const model = modelOf(
      [6],
      [
        makeNode('Identity', ['input'], ['same']),
        makeNode('Add', ['one', 'one'], ['two']),
        makeNode('Relu', ['input'], ['y']),
      ],
      [floatTensor('one', [1], [1])],
      [6],
    );
    model.graph.outputs.push({ name: 'same', dataType: 'float', shape: undefined });
    model.graph.outputs.push({ name: 'two', dataType: 'float', shape: undefined });
    model.graph.outputs.push({ name: 'one', dataType: 'float', shape: [1] });
    const { model: made } = await simplified(model);
    await expectSameAnswers(made, model);
  });

  it('takes an initializer that older files list as an input for the constant it is', async () => {
    const model = modelOf([3, 5, 5], [conv(), norm('c', 'y')], [kernels(), ...normOf(4)], [4, 4, 4]);
    model.irVersion = 3;
    model.opsets.set('', 8);
    for (const { name, dims } of model.graph.initializers.values()) {
      model.graph.inputs.push({ name, dataType: 'float', shape: dims });
    }
    const { model: made } = await simplified(model);
    expect(made.graph.inputs.map(({ name }) => name)).toEqual(['input']);
    expect(ops(made)).toEqual(['Conv']);
    await expectSameAnswers(made, model);
  });

  it('keeps weights that two layers share the same ones', async () => {
    const model = modelOf(
      [6],
      [
        makeNode('MatMul', ['input', 'tied'], ['a']),
        makeNode('Add', ['a', 'row'], ['b']),
        makeNode('Mul', ['b', 'factor'], ['c']),
        turn('tied', 'turned', [1, 0]),
        makeNode('MatMul', ['c', 'turned'], ['d']),
        makeNode('Add', ['d', 'row'], ['y']),
      ],
      [some('tied', [6, 6]), some('row', [6]), some('factor', [6])],
      [6],
    );
    const { model: made } = await simplified(model);
    expect(made.graph.initializers.get('tied')).toBe(model.graph.initializers.get('tied'));
    expect(made.graph.initializers.size).toBe(3);
    await expectSameAnswers(made, model);
  });

  it('leaves what is made of weights that others read, too, to be made of them', async () => {
    const model = modelOf(
      [4],
      [
        turn('tied', 'turned', [1, 0]),
        makeNode('Mul', ['turned', 'two'], ['twice']),
        makeNode('Identity', ['zeros'], ['offset']),
        makeNode('Add', ['input', 'offset'], ['a']),
        makeNode('MatMul', ['a', 'twice'], ['b']),
        makeNode('MatMul', ['b', 'tied'], ['c']),
        makeNode('Add', ['c', 'zeros'], ['y']),
      ],
      [some('tied', [4, 4]), floatTensor('two', [], [2]), floatTensor('zeros', [4], [0, 0, 0, 0])],
      [4],
    );
    const { model: made } = await simplified(model);
    expect(ops(made).sort()).toEqual(['Add', 'Add', 'MatMul', 'MatMul', 'Mul', 'Transpose']);
    expect(made.graph.initializers.get('tied')).toBe(model.graph.initializers.get('tied'));
    await expectSameAnswers(made, model);
  });

  it('stores equal constants once, but leaves two biases of zeros to be trained apart', async () => {
    const model = modelOf(
      [6],
      [
        makeNode('Gemm', ['input', 'w', 'b'], ['a']),
        makeNode('Relu', ['a'], ['r']),
        makeNode('Gemm', ['r', 'copy', 'zeros'], ['y']),
      ],
      [some('w', [6, 6]), floatTensor('b', [6], Array(6).fill(0)), floatTensor('zeros', [6], Array(6).fill(0))],
      [6],
    );
    model.graph.initializers.set('copy', { ...model.graph.initializers.get('w')!, name: 'copy' });
    const { model: made, done } = await simplified(model);
    expect([...made.graph.initializers.keys()]).toEqual(['w', 'b', 'zeros']);
    expect([...done]).toEqual([['equal constants shared', 1]]);
    await expectSameAnswers(made, model);
  });

  it('leaves what training leaves alone out of what it trains', async () => {
    const model = modelOf(
      [6],
      [
        frozen(some('mean', [6])),
        frozen(some('more', [6])),
        makeNode('Add', ['mean', 'more'], ['both']),
        makeNode('Sub', ['input', 'both'], ['a']),
        makeNode('Relu', ['a'], ['y']),
      ],
      [],
      [6],
    );
    const { model: made } = await simplified(model);
    expect(ops(made).sort()).toEqual(['Constant', 'Relu', 'Sub']);
    expect(made.graph.initializers.size).toBe(0);
    await expectSameAnswers(made, model);
  });

  it('lets the file grow no more than it may', async () => {
    const wide = () =>
      modelOf(
        [300],
        [makeNode('Tile', ['row', 'times'], ['rows']), makeNode('MatMul', ['input', 'rows'], ['y'])],
        [floatTensor('row', [1, 200], numbers(200)), ints('times', [300, 1])],
        [200],
      );
    const bytes = 300 * 200 * 4;
    expect(ops((await simplified(wide(), bytes)).model)).toEqual(['MatMul']);
    expect(ops((await simplified(wide(), bytes - 1000)).model)).toEqual(['Tile', 'MatMul']);
  });

  it('respects what inner graphs read, and takes the branch of a condition that is constant', async () => {
    const branch = (name: string, nodes: Node[], more: Tensor[] = []): Graph => ({
      name,
      nodes,
      initializers: new Map(more.map((tensor) => [tensor.name, tensor])),
      sparseInitializers: new Map(),
      inputs: [],
      outputs: [{ name: nodes.at(-1)!.outputs[0]!, dataType: 'float', shape: undefined }],
      valueInfo: [],
    });
    const choose = (condition: string, output: string, suffix: string, read = 'same') =>
      makeNode('If', [condition], [output], {
        then_branch: {
          kind: 'graph',
          value: branch('then', [makeNode('Add', [read, `k${suffix}`], [`p${suffix}`])], [some(`k${suffix}`, [6])]),
        },
        else_branch: { kind: 'graph', value: branch('else', [makeNode('Mul', ['same', 'captured'], [`q${suffix}`])]) },
      });
    const model = modelOf(
      [6],
      [
        makeNode('Identity', ['input'], ['same']),
        makeNode('Neg', ['input'], ['only']),
        makeNode('ReduceMax', ['input'], ['most'], { keepdims: attribute(0) }),
        makeNode('Greater', ['most', 'zero'], ['open']),
        choose('always', 'a', '1', 'only'), // nothing else reads it
        choose('open', 'b', '2'),
        makeNode('Add', ['a', 'b'], ['y']),
      ],
      [
        some('captured', [6]),
        floatTensor('zero', [], [0]),
        { name: 'always', dataType: 'bool', dims: [], bytes: Uint8Array.of(1) },
      ],
      [6],
    );
    const { model: made } = await simplified(model);
    expect(ops(made).filter((name) => name === 'If')).toEqual(['If']);
    expect(made.graph.initializers.has('captured')).toBe(true);
    await expectSameAnswers(made, model);
  });

  it('ends at once where it is cancelled', async () => {
    const cancelled = AbortSignal.abort(new Error('cancelled'));
    await expect(simplify(cases[0]![1], { mostBytes: 0, signal: cancelled })).rejects.toThrow('cancelled');
  });
});
