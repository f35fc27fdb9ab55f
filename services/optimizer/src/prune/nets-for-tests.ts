import { attribute, floatTensor, int64Tensor, makeNode } from '@modelmill/onnx';
import type { Model, Node, Tensor } from '@modelmill/onnx';
import { modelOf, numbers } from '../models-for-tests.js';

/** Numbers of its own; `weak` slices of axis 0 are a hundredth as large, so that their channels go. */
export function tensor(name: string, dims: number[], weak: readonly number[] = []): Tensor {
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

export const relu = (x: string) => makeNode('Relu', [x], [`${x}.relu`]);
const image = [2, 4, 4];

export interface Net {
  readonly model: Model;
  readonly ratio: number;
  /** Value: width, channels to go, and the sizes after the channels in a mask. */
  readonly gone: Readonly<Record<string, readonly [number, readonly number[], ...number[]]>>;
  /** Counted by hand. */
  readonly parameters: number;
  readonly multiplyAdds: number;
}

export const nets: Readonly<Record<string, Net>> = {
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
