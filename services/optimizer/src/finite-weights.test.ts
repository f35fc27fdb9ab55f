import { attribute, floatTensor, int64Tensor, makeNode, readOnnx, sparsify, writeOnnx } from '@modelmill/onnx';
import type { Model, Node, Tensor } from '@modelmill/onnx';
import { expectFiniteWeights } from './finite-weights.js';
import { modelOf } from './models-for-tests.js';
import { entwinedModels, usualModels } from './pass-models-for-tests.js';

const numbers = (count: number) => Array.from({ length: count }, (_, i) => Math.sin(i));
const matrix = (values: readonly number[]) => floatTensor('w', [64, 10], values);
const spoilt = (odd: number) => numbers(640).map((value, i) => (i === 37 || i > 630 ? odd : value));
const product = makeNode('MatMul', ['input', 'w'], ['y']);

/** Ways of a weight into a product. */
const ways: readonly (readonly [string, (weights: Tensor) => Model])[] = [
  ['an initializer', (weights) => modelOf([64], [product], [weights], [10])],
  [
    'a Constant node',
    (weights) => modelOf([64], [makeNode('Constant', [], ['w'], { value: attribute(weights) }), product], [], [10]),
  ],
  [
    'a matrix that is turned twice',
    (weights) =>
      modelOf(
        [64],
        [
          makeNode('Transpose', ['w'], ['turned']),
          makeNode('Transpose', ['turned'], ['back']),
          makeNode('MatMul', ['input', 'back'], ['y']),
        ],
        [weights],
        [10],
      ),
  ],
  ['a file that leaves zeros out', (weights) => readOnnx(writeOnnx(sparsify(ways[0]![1](weights), 0)))],
];

describe('weights that are NaN or infinite', () => {
  it.each(ways.flatMap(([way, make]) => [NaN, Infinity, -Infinity].map((odd) => [way, odd, make] as const)))(
    'are refused in %s, with how many they are and where the first is: %d',
    (_, odd, make) => {
      expect(() => expectFiniteWeights(make(matrix(numbers(640))))).not.toThrow();
      expect(() => expectFiniteWeights(make(matrix(spoilt(odd))))).toThrow(
        `initializer 'w' is NaN or infinite in 10 of its 640 numbers, the first is ${odd} at [3, 7]: wants finite weights`,
      );
    },
  );

  it.each(Object.entries({ ...usualModels, ...entwinedModels }))('are in none of the usual models: %s', (_, make) =>
    expect(() => expectFiniteWeights(make())).not.toThrow(),
  );

  it('are told from a mask, which may be infinite', () => {
    const mask = floatTensor('mask', [1, 10], [0, -Infinity, ...numbers(8)]);
    const nodes: Node[] = [makeNode('MatMul', ['input', 'w'], ['z']), makeNode('Add', ['z', 'mask'], ['y'])];
    expect(() => expectFiniteWeights(modelOf([64], nodes, [matrix(numbers(640)), mask], [10]))).not.toThrow();
  });

  it.each<[string, Node[]]>([
    ['is looked up', [makeNode('Gather', ['mask', 'at'], ['row']), makeNode('Add', ['input', 'row'], ['y'])]],
    ['is added', [makeNode('Add', ['input', 'mask'], ['y'])]],
  ])('are told from a table that %s, in which only NaN is wrong', (_, nodes) => {
    const at = int64Tensor('at', [1], [1]);
    const of = (odd: number) => modelOf([10], nodes, [at, floatTensor('mask', [2, 10], [odd, ...numbers(19)])], [10]);
    expect(() => expectFiniteWeights(of(-Infinity))).not.toThrow();
    expect(() => expectFiniteWeights(of(NaN))).toThrow(
      "initializer 'mask' is NaN in 1 of its 20 numbers, the first is NaN at [0, 0]: wants numbers",
    );
  });

  it('are refused as statistics of a normalization', () => {
    const channel = (name: string, value: number) => floatTensor(name, [10], [value, ...Array<number>(9).fill(1)]);
    const nodes = [makeNode('BatchNormalization', ['input', 'scale', 'bias', 'mean', 'variance'], ['y'])];
    const constants = ['scale', 'bias', 'mean'].map((name) => channel(name, 1));
    const of = (value: number) => modelOf([10], nodes, [...constants, channel('variance', value)], [10]);
    expect(() => expectFiniteWeights(of(1))).not.toThrow();
    expect(() => expectFiniteWeights(of(NaN))).toThrow(
      "initializer 'variance' is NaN or infinite in 1 of its 10 numbers",
    );
  });

  it('may be doubles that no float holds', () => {
    const of = (value: number) => {
      const bytes = new Uint8Array(Float64Array.from({ length: 640 }, () => value).buffer);
      return modelOf([64], [product], [{ name: 'w', dataType: 'double', dims: [64, 10], bytes }], [10]);
    };
    expect(() => expectFiniteWeights(of(1e39))).not.toThrow();
    expect(() => expectFiniteWeights(of(Infinity))).toThrow('in 640 of its 640 numbers');
  });

  it.each([
    ['float16', 0x3c00, 0xfc00, -Infinity],
    ['float16', 0x7bff, 0x7e00, NaN],
    ['bfloat16', 0x7f7f, 0x7f80, Infinity],
    ['bfloat16', 0x3f80, 0xffc0, NaN],
  ] as const)('are refused in %s', (dataType, fine, odd, told) => {
    const of = (bits: number) => {
      const bytes = new Uint8Array(Uint16Array.from({ length: 640 }, (_, i) => (i === 37 ? bits : fine)).buffer);
      const weights: Tensor = { name: 'half', dataType, dims: [64, 10], bytes };
      return modelOf([64], [makeNode('Cast', ['half'], ['w'], { to: attribute(1) }), product], [weights], [10]);
    };
    expect(() => expectFiniteWeights(of(fine))).not.toThrow();
    expect(() => expectFiniteWeights(of(odd))).toThrow(`in 1 of its 640 numbers, the first is ${told} at [3, 7]`);
  });
});
