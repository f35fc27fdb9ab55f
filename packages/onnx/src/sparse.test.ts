import { OnnxFormatError } from './model.js';
import type { Model, SparseTensor, Tensor } from './model.js';
import { emptyGraph, readOnnx } from './read-onnx.js';
import { densify, sparsify } from './sparse.js';
import { floatTensor, floatsOf, int64Tensor, intTensor, intsOf } from './tensor.js';
import { writeOnnx } from './write-onnx.js';

function modelOf(tensors: readonly Tensor[], sparse: readonly SparseTensor[] = []): Model {
  return {
    irVersion: 8,
    opsets: new Map([['', 18]]),
    producer: '',
    metadata: new Map(),
    functions: [],
    graph: {
      ...emptyGraph(),
      initializers: new Map(tensors.map((tensor) => [tensor.name, tensor])),
      sparseInitializers: new Map(sparse.map((tensor) => [tensor.values.name, tensor])),
    },
  };
}

/** Every nth value is none; the others are 1, 2, 3, … */
const pruned = (name: string, dims: readonly number[], n: number) =>
  floatTensor(
    name,
    dims,
    Array.from({ length: dims.reduce((all, size) => all * size, 1) }, (_, i) => (i % n ? 0 : i + 1)),
  );

describe('sparsify', () => {
  it('comes back through densify and a file as it was', () => {
    const model = modelOf([
      pruned('kernel', [4, 3, 5, 5], 7),
      floatTensor('zeros', [2, 3], [0, 0, 0, 0, 0, 0]),
      floatTensor('odd', [2, 4], [0, -0, NaN, 0, Infinity, 0, 0, 0]),
    ]);
    const stored = sparsify(model);
    expect([...stored.graph.sparseInitializers.keys()]).toEqual(['kernel', 'zeros', 'odd']);
    const back = densify(readOnnx(writeOnnx(stored)));
    const bits = ({ graph }: Model) =>
      [...graph.initializers].map(([name, { dims, bytes }]) => [name, dims, Buffer.from(bytes)]);
    expect(bits(back)).toEqual(bits(model));
  });

  it('stores values under the tensor’s name and int32 linear positions', () => {
    const { graph } = sparsify(modelOf([floatTensor('w', [2, 3], [0, 0, 5, 0, 7, 0])]));
    const { values, indices, dims } = graph.sparseInitializers.get('w')!;
    expect([values.name, values.dims, floatsOf(values)]).toEqual(['w', [2], Float32Array.of(5, 7)]);
    expect([indices.dataType, indices.dims, intsOf(indices)]).toEqual(['int32', [2], [2, 4]]);
    expect(dims).toEqual([2, 3]);
    expect(graph.initializers.size).toBe(0);
  });

  it('makes a pruned file smaller', () => {
    const model = modelOf([pruned('w', [100, 100], 5)]);
    // 80 % zeros: two numbers of four bytes for a fifth of the values
    expect(writeOnnx(sparsify(model)).length / writeOnnx(model).length).toBeCloseTo(0.4, 1);
  });

  it('leaves alone what would not shrink, what is no matrix, what is no float, and what is an input', () => {
    const model = modelOf([
      pruned('half', [10, 10], 2),
      pruned('bias', [100], 10),
      intTensor('ids', 'int32', [2, 3], [0, 0, 0, 0, 0, 1]),
      floatTensor('empty', [0, 3], []),
      pruned('default', [10, 10], 10),
    ]);
    model.graph.inputs = [{ name: 'default', dataType: 'float', shape: [10, 10] }];
    expect(sparsify(model)).toEqual(model);
  });
});

describe('densify', () => {
  const sparse = (indices: Tensor, values = floatTensor('w', [2], [5, 7])) =>
    modelOf([], [{ values, indices, dims: [2, 3] }]);

  it.each<[string, Tensor]>([
    ['linear int64 positions', int64Tensor('', [2], [2, 4])],
    ['coordinates', int64Tensor('', [2, 2], [0, 2, 1, 1])],
  ])('takes %s', (_, indices) => {
    const { initializers, sparseInitializers } = densify(sparse(indices)).graph;
    expect(floatsOf(initializers.get('w')!)).toEqual(Float32Array.of(0, 0, 5, 0, 7, 0));
    expect(sparseInitializers.size).toBe(0);
  });

  it('takes values of any whole bytes', () => {
    const values = intTensor('w', 'int8', [2], [-5, 7]);
    const dense = densify(sparse(int64Tensor('', [2], [0, 5]), values)).graph.initializers.get('w')!;
    expect([dense.dataType, intsOf(dense)]).toEqual(['int8', [-5, 0, 0, 0, 0, 7]]);
  });

  it.each([6, -1])('refuses a value at %i of six', (at) => {
    expect(() => densify(sparse(int64Tensor('', [2], [0, at])))).toThrow(OnnxFormatError);
    expect(() => densify(sparse(int64Tensor('', [2], [0, at])))).toThrow(`'w' has a value at ${at}, wants 0 to 5`);
  });
});
