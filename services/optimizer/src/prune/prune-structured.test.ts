import { attribute, cloneModel, floatTensor, int64Tensor, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Model, Node, Tensor } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { modelOf, numbers } from '../models-for-tests.js';
import { pruneStructured } from './prune-structured.js';
import { weightFigures } from '../weighted-layers.js';

/** Numbers of its own; `weak` slices of axis 0 are a hundredth as large, so that their channels go. */
function tensor(name: string, dims: number[], weak: readonly number[] = []): Tensor {
  const count = dims.reduce((a, b) => a * b, 1);
  const inner = count / dims[0]!;
  const values = numbers(count + name.length).slice(name.length);
  return floatTensor(
    name,
    dims,
    values.map((value, i) => (weak.includes(Math.floor(i / inner)) ? value / 100 : value)),
  );
}

const conv = (x: string, name: string, more: readonly string[] = [], group = 1): Node =>
  makeNode('Conv', [x, `${name}.w`, ...more], [name], { pads: attribute([1, 1, 1, 1]), group: attribute(group) }, name);

/** The dense model in which every reader of a value sees zeros in these channels of its axis 1. */
function masked(parent: Model, gone: Net['gone']): Model {
  const model = cloneModel(parent);
  const { graph } = model;
  for (const [value, [width, channels, ...after]] of Object.entries(gone)) {
    const mask = Float32Array.from({ length: width }, (_, c) => (channels.includes(c) ? 0 : 1));
    graph.initializers.set(`${value}.mask`, floatTensor(`${value}.mask`, [width, ...after], mask));
    for (const node of graph.nodes) {
      node.inputs = node.inputs.map((input) => (input === value ? `${value}.masked` : input));
    }
    const at = graph.nodes.findIndex(({ outputs }) => outputs[0] === value) + 1;
    graph.nodes.splice(at, 0, makeNode('Mul', [value, `${value}.mask`], [`${value}.masked`]));
  }
  return model;
}

async function answer(model: Model): Promise<Float32Array> {
  await using session = await openSession(writeOnnx(model), { providers: ['cpu'], graphOptimization: 'disabled' });
  const [, ...example] = model.graph.inputs[0]!.shape as number[];
  const count = 3 * example.reduce((a, b) => a * b, 1);
  const outputs = await session.run({ input: { dims: [3, ...example], data: numbers(count) } });
  return outputs[model.graph.outputs[0]!.name]!.data as Float32Array;
}

async function difference(a: Model, b: Model): Promise<number> {
  const [got, wanted] = await Promise.all([answer(a), answer(b)]);
  expect(got).toHaveLength(wanted.length);
  return Math.max(...got.map((value, i) => Math.abs(value - wanted[i]!)));
}

const relu = (x: string) => makeNode('Relu', [x], [`${x}.relu`]);
const image = [2, 4, 4];

interface Net {
  readonly model: Model;
  readonly ratio: number;
  /** Value: width, channels to go, and the sizes after the channels in a mask. */
  readonly gone: Readonly<Record<string, readonly [number, readonly number[], ...number[]]>>;
  /** Counted by hand. */
  readonly parameters: number;
  readonly multiplyAdds: number;
}

const nets: Readonly<Record<string, Net>> = {
  residual: {
    model: modelOf(
      image,
      [
        conv('input', 'a', ['a.b']),
        relu('a'),
        conv('a.relu', 'b'),
        makeNode('BatchNormalization', ['b', 'gamma', 'beta', 'mean', 'variance'], ['n']),
        relu('n'),
        conv('n.relu', 'c'),
        makeNode('Add', ['c', 'a.relu'], ['s']),
        relu('s'),
        makeNode('GlobalAveragePool', ['s.relu'], ['pooled']),
        makeNode('Flatten', ['pooled'], ['flat']),
        makeNode('Gemm', ['flat', 'w', 'w.b'], ['y']),
      ],
      [
        tensor('a.w', [6, 2, 3, 3], [1, 4]),
        tensor('a.b', [6]),
        tensor('b.w', [5, 6, 3, 3], [0, 3]),
        ...['gamma', 'beta', 'mean'].map((name) => tensor(name, [5])),
        floatTensor('variance', [5], [1, 2, 3, 4, 5]),
        tensor('c.w', [6, 5, 3, 3], [1, 4]),
        tensor('w', [6, 3], [1, 4]),
        tensor('w.b', [3]),
      ],
      [3],
    ),
    ratio: 0.4, // 4 of 6 + 5
    gone: { 'a.relu': [6, [1, 4], 1, 1], 'n.relu': [5, [0, 3], 1, 1], 's.relu': [6, [1, 4], 1, 1] },
    parameters: 4 * 18 + 4 + 3 * 36 + 6 + 4 * 27 + 12 + 3,
    multiplyAdds: 16 * (4 * 18 + 3 * 36 + 3 + 4 * 27) + 12,
  },
  depthwise: {
    model: modelOf(
      image,
      [conv('input', 'a'), relu('a'), conv('a.relu', 'd', ['d.b'], 6), relu('d'), conv('d.relu', 'y')],
      [
        tensor('a.w', [6, 2, 3, 3], [0, 5]),
        tensor('d.w', [6, 1, 3, 3], [0, 5]),
        tensor('d.b', [6]),
        tensor('y.w', [4, 6, 3, 3]),
      ],
      [4, 4, 4],
    ),
    ratio: 0.34, // 2 of 6
    gone: { 'd.relu': [6, [0, 5], 1, 1] },
    parameters: 4 * 18 + 4 * 9 + 4 + 4 * 36,
    multiplyAdds: 16 * (4 * 18 + 4 * 9 + 4 * 36),
  },
  concat: {
    model: modelOf(
      image,
      [
        conv('input', 'a'),
        conv('input', 'b'),
        relu('a'),
        relu('b'),
        makeNode('Concat', ['a.relu', 'b.relu'], ['both'], { axis: attribute(1) }),
        makeNode('Reshape', ['both', 'shape'], ['flat']),
        makeNode('Gemm', ['flat', 'w', 'w.b'], ['y']),
      ],
      [
        tensor('a.w', [4, 2, 3, 3], [1]),
        tensor('b.w', [5, 2, 3, 3], [0, 2]),
        int64Tensor('shape', [2], [-1, 144]),
        tensor('w', [144, 3]),
        tensor('w.b', [3]),
      ],
      [3],
    ),
    ratio: 1 / 3, // 3 of 4 + 5
    gone: { 'a.relu': [4, [1], 1, 1], 'b.relu': [5, [0, 2], 1, 1] },
    parameters: 3 * 18 + 3 * 18 + 6 * 16 * 3 + 3,
    multiplyAdds: 16 * (3 * 18 + 3 * 18) + 6 * 16 * 3,
  },
  grouped: {
    model: modelOf(
      image,
      [conv('input', 'a'), relu('a'), conv('a.relu', 'g', [], 2), relu('g'), conv('g.relu', 'y')],
      [tensor('a.w', [8, 2, 3, 3], [1, 5]), tensor('g.w', [6, 4, 3, 3], [0, 3]), tensor('y.w', [2, 6, 3, 3])],
      [2, 4, 4],
    ),
    ratio: 0.3, // 2 of 4 + 3 pairs
    gone: { 'a.relu': [8, [1, 5], 1, 1], 'g.relu': [6, [0, 3], 1, 1] },
    parameters: 6 * 18 + 4 * 27 + 2 * 36,
    multiplyAdds: 16 * (6 * 18 + 4 * 27 + 2 * 36),
  },
  'fully connected': {
    model: modelOf(
      [5],
      [
        makeNode('Gemm', ['input', 'u', 'u.b'], ['a'], { transB: attribute(1) }),
        relu('a'),
        makeNode('MatMul', ['a.relu', 'v'], ['product']),
        makeNode('Add', ['v.b', 'product'], ['sum']),
        makeNode('Tanh', ['sum'], ['bent']),
        makeNode('Gemm', ['bent', 'w', 'w.b'], ['y']),
      ],
      [
        tensor('u', [6, 5], [2]),
        tensor('u.b', [6]),
        tensor('v', [6, 7], [2]),
        tensor('v.b', [7]),
        tensor('w', [7, 3], [0, 6]),
        tensor('w.b', [3]),
      ],
      [3],
    ),
    ratio: 0.24, // 3 of 6 + 7
    gone: { 'a.relu': [6, [2]], bent: [7, [0, 6]] },
    parameters: 5 * 5 + 5 + 5 * 5 + 5 + 5 * 3 + 3,
    multiplyAdds: 5 * 5 + 5 * 5 + 5 * 3,
  },
};

describe('structured pruning', () => {
  it.each(Object.entries(nets))('of a %s net answers as the dense net with those channels masked', async (_, net) => {
    const { model: cut } = pruneStructured(net.model, { ratio: net.ratio, multiplyAdds: 0, roundTo: 1 });
    expect(await difference(cut, masked(net.model, net.gone))).toBeLessThan(1e-5);
    expect(await difference(cut, net.model)).toBeGreaterThan(1e-5);
  });

  it.each(Object.entries(nets))('of a %s net leaves the weights and multiply-adds counted by hand', (_, net) => {
    const pruned = pruneStructured(net.model, { ratio: net.ratio, multiplyAdds: 0, roundTo: 1 });
    expect(weightFigures(pruned.model).parameters).toBe(net.parameters);
    expect(pruned.multiplyAdds[1]).toBe(net.multiplyAdds);
  });

  it('comes down to a share of the multiply-adds by as few channels as do', () => {
    const { model } = nets['residual']!;
    const { removed, multiplyAdds } = pruneStructured(model, { ratio: 0, multiplyAdds: 0.5, roundTo: 1 });
    const [before, after] = multiplyAdds;
    expect(after).toBeLessThanOrEqual(before / 2);
    const fewer = pruneStructured(model, { ratio: (removed - 1) / 11, multiplyAdds: 0, roundTo: 1 });
    expect(fewer.multiplyAdds[1]).toBeGreaterThan(before / 2);
  });

  it('leaves widths that are multiples, or as they were', () => {
    const { model } = pruneStructured(nets['residual']!.model, { ratio: 0.4, multiplyAdds: 0, roundTo: 4 });
    const widthOf = (name: string) => model.graph.initializers.get(name)!.dims[0];
    expect(['a.w', 'b.w', 'c.w', 'w'].map(widthOf)).toEqual([4, 4, 4, 4]);
  });

  it('says so where nothing can be removed', () => {
    const layer = modelOf([5], [makeNode('Gemm', ['input', 'w'], ['y'])], [tensor('w', [5, 3])], [3]);
    expect(() => pruneStructured(layer, { ratio: 0.5, multiplyAdds: 0, roundTo: 1 })).toThrow(
      'there is no channel to remove: every layer either makes an output of the model or is read by an operator that ' +
        'needs all its channels',
    );
  });

  it('leaves whole what an operator it does not know reads', () => {
    const unknown = cloneModel(nets['fully connected']!.model);
    unknown.graph.nodes[1] = makeNode('CumSum', ['a', 'axis'], ['a.relu']);
    unknown.graph.initializers.set('axis', int64Tensor('axis', [], [1]));
    const { model, channels } = pruneStructured(unknown, { ratio: 0.5, multiplyAdds: 0, roundTo: 1 });
    expect(channels).toBe(7);
    expect(model.graph.initializers.get('u')!.dims).toEqual([6, 5]);
  });

  it('says how far it comes where a share of the multiply-adds is out of reach', () =>
    expect(() => pruneStructured(nets['depthwise']!.model, { ratio: 0, multiplyAdds: 0.01, roundTo: 1 })).toThrow(
      '1 % of the multiply-adds cannot be reached: without every channel that can be removed, 16.7 % are left',
    ));
});
