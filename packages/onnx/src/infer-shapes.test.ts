import { makeNode } from './edit.js';
import { inferNode, inferShapes } from './infer-shapes.js';
import { ShapeError } from './model.js';
import type { Attribute, Model, Tensor, ValueInfo } from './model.js';
import { emptyGraph } from './read-onnx.js';
import { attribute, floatTensor, int64Tensor } from './tensor.js';

const float = (name: string, shape: ValueInfo['shape']): ValueInfo => ({ name, dataType: 'float', shape });
const zeros = (name: string, dims: readonly number[]) =>
  floatTensor(name, dims, new Float32Array(dims.reduce((all, size) => all * size, 1)));

function oneNode(
  opType: string,
  inputs: readonly ValueInfo[],
  constants: readonly Tensor[] = [],
  attributes: Record<string, Attribute> = {},
): Model {
  const names = [...inputs, ...constants].map(({ name }) => name);
  return {
    irVersion: 8,
    opsets: new Map([['', 18]]),
    producer: '',
    metadata: new Map(),
    functions: [],
    graph: {
      ...emptyGraph(),
      nodes: [makeNode(opType, names, ['y'], attributes, 'it')],
      initializers: new Map(constants.map((tensor) => [tensor.name, tensor])),
      inputs: [...inputs],
    },
  };
}

// that these shapes are the true ones is shown in test/onnx-shapes.test.ts, by ONNX Runtime
describe('inferShapes', () => {
  it('takes open sizes from the caller, and stated ones from the model', () => {
    const model = oneNode('Add', [float('a', ['n', 3]), float('b', [3])]);
    expect(inferShapes(model, new Map([['a', [7, 3]]])).get('y')).toEqual({ dataType: 'float', shape: [7, 3] });
  });

  it.each<[string, Model, string]>([
    ['an open size', oneNode('Relu', [float('a', ['n', 3])]), "input 'a' has open sizes [n, 3]"],
    [
      'an input of another kind',
      oneNode('Relu', [{ name: 'a', dataType: undefined, shape: undefined, opaque: new Uint8Array() }]),
      "input 'a' is no tensor",
    ],
    ['an unknown operator', oneNode('Mystery', [float('a', [3])]), "node 'it' (Mystery)"],
    [
      'an operator named like what every object has',
      oneNode('constructor', [float('a', [3])]),
      "node 'it' (constructor)",
    ],
    [
      'a shape that is only computed',
      oneNode('Reshape', [float('a', [3]), { name: 'to', dataType: 'int64', shape: [1] }]),
      "node 'it' (Reshape): its input 'to' is no constant",
    ],
    [
      'axes that are only computed',
      oneNode('ReduceSum', [float('a', [3]), { name: 'axes', dataType: 'int64', shape: [1] }]),
      "its input 'axes' is no constant",
    ],
    [
      'operands that do not broadcast',
      oneNode('Add', [float('a', [2, 3]), float('b', [4])]),
      'cannot broadcast [2, 3] with [4]',
    ],
    ['matrices that do not meet', oneNode('MatMul', [float('a', [2, 3]), float('b', [4, 5])]), 'got [2, 3] and [4, 5]'],
    [
      'a kernel of other channels',
      oneNode('Conv', [float('a', [1, 3, 8, 8])], [zeros('w', [4, 2, 3, 3])]),
      'takes [n, 2, …] for a kernel of [4, 2, 3, 3], got [1, 3, 8, 8]',
    ],
    [
      'a window larger than the image',
      oneNode('MaxPool', [float('a', [1, 1, 2, 2])], [], { kernel_shape: attribute([3, 3]) }),
      'a window of 3 does not fit into 2',
    ],
    [
      'a window of other axes',
      oneNode('MaxPool', [float('a', [1, 1, 2])], [], { kernel_shape: attribute([1, 1]) }),
      'takes 4 axes',
    ],
    [
      'a shape of other volume',
      oneNode('Reshape', [float('a', [2, 3])], [int64Tensor('to', [1], [5])]),
      '[2, 3] does not hold as many as [5]',
    ],
    [
      'a shape of two negatives',
      oneNode('Reshape', [float('a', [2, 3])], [int64Tensor('to', [2], [-2, -3])]),
      '[-2, -3]',
    ],
    ['an axis too many', oneNode('ArgMax', [float('a', [2])], [], { axis: attribute(1) }), 'axis 1 of 1 axes'],
    [
      'padding that leaves less than nothing',
      oneNode('Pad', [float('a', [2])], [int64Tensor('pads', [2], [-3, 0])]),
      'its output would be [-1]',
    ],
    [
      'parts that are not the whole',
      oneNode('Split', [float('a', [5])], [int64Tensor('split', [1], [4])]),
      'cannot part 5',
    ],
    [
      'sides that differ',
      oneNode('Concat', [float('a', [2, 3]), float('b', [2, 4])], [], { axis: attribute(0) }),
      'cannot join [2, 3] and [2, 4]',
    ],
  ])('refuses %s, and says so', (_, model, message) => {
    expect(() => inferShapes(model)).toThrow(ShapeError);
    expect(() => inferShapes(model)).toThrow(message);
  });

  it('refuses sizes that are not the model’s', () => {
    const model = oneNode('Relu', [float('a', ['n', 3])]);
    const fixedTo = (shape: number[]) => () => inferShapes(model, new Map([['a', shape]]));
    expect(fixedTo([2, 4])).toThrow("input 'a' is fixed to [2, 4], wants [n, 3]");
    expect(fixedTo([3])).toThrow("input 'a' is fixed to [3], wants [n, 3]");
  });

  it('cuts a long list of sizes short in its message', () => {
    const to = int64Tensor(
      'to',
      [1000],
      Array.from({ length: 1000 }, () => 2),
    );
    expect(() => inferShapes(oneNode('Reshape', [float('a', [3])], [to]))).toThrow(/^.{1,200}$/);
  });
});

describe('inferNode', () => {
  it('asks only for what the node reads', () => {
    const asked: string[] = [];
    const typeOf = (name: string) => {
      asked.push(name);
      return { dataType: 'float' as const, shape: [2, 3] };
    };
    const [type] = inferNode(makeNode('Clip', ['x', '', 'high'], ['y']), typeOf, () => undefined);
    expect(type).toEqual({ dataType: 'float', shape: [2, 3] });
    expect(asked).toEqual(['x', 'high']);
  });
});
