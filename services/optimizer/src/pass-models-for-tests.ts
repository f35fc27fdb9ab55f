import { attribute, floatTensor, int64Tensor, makeNode, writeOnnx, readOnnx } from '@modelmill/onnx';
import type { FunctionDef, Graph, Model, Node, Tensor } from '@modelmill/onnx';
import { modelOf } from './models-for-tests.js';

/** Numbers from −1 to 1 over the root of the rows that are added up; the same every time, others for each name. */
export function weights(name: string, dims: readonly number[], rows = dims[0]!): Tensor {
  let state = [...name].reduce((sum, letter) => (31 * sum + letter.charCodeAt(0)) % 2_147_483_646, 1) + 1;
  const random = () => (2 * (state = (state * 48_271) % 2_147_483_647)) / 2_147_483_647 - 1;
  const count = dims.reduce((all, size) => all * size, 1);
  return floatTensor(
    name,
    dims,
    Float32Array.from({ length: count }, () => (random() * Math.sqrt(3)) / Math.sqrt(rows)),
  );
}

const variances = (name: string, channels: number) =>
  floatTensor(
    name,
    [channels],
    Array.from({ length: channels }, (_, i) => 0.5 + i / channels),
  );
const normOf = (name: string, channels: number) => [
  weights(`${name}.g`, [channels], 1),
  weights(`${name}.b`, [channels]),
  weights(`${name}.m`, [channels]),
  variances(`${name}.v`, channels),
];
const norm = (name: string, x: string, y: string) =>
  makeNode('BatchNormalization', [x, ...['g', 'b', 'm', 'v'].map((part) => `${name}.${part}`)], [y]);
const conv = (x: string, name: string, y: string) =>
  makeNode('Conv', [x, `${name}.w`, `${name}.bias`], [y], { pads: attribute([1, 1, 1, 1]) }, name);

/** Convolutions with batch normalizations, one of them around a residual sum; 10 classes. */
const residualCnn = () =>
  modelOf(
    [64],
    [
      makeNode('Reshape', ['input', 'image'], ['pixels']),
      conv('pixels', 'first', 'a'),
      norm('n1', 'a', 'b'),
      makeNode('Relu', ['b'], ['c']),
      conv('c', 'second', 'd'),
      norm('n2', 'd', 'e'),
      makeNode('Add', ['c', 'e'], ['f']),
      makeNode('Relu', ['f'], ['g']),
      makeNode('GlobalAveragePool', ['g'], ['pooled']),
      makeNode('Flatten', ['pooled'], ['flat'], { axis: attribute(1) }),
      makeNode('Gemm', ['flat', 'dense.w', 'dense.b'], ['y'], {}, 'dense'),
    ],
    [
      int64Tensor('image', [4], [-1, 1, 8, 8]),
      weights('first.w', [16, 1, 3, 3], 9),
      weights('first.bias', [16]),
      ...normOf('n1', 16),
      weights('second.w', [16, 16, 3, 3], 144),
      weights('second.bias', [16]),
      ...normOf('n2', 16),
      weights('dense.w', [16, 10]),
      weights('dense.b', [10]),
    ],
    [10],
  );

const mlp = () =>
  modelOf(
    [64],
    [
      makeNode('Gemm', ['input', 'first.w', 'first.b'], ['a'], { transB: attribute(1) }, 'first'),
      makeNode('Relu', ['a'], ['b']),
      makeNode('MatMul', ['b', 'second.w'], ['c'], {}, 'second'),
      makeNode('Add', ['c', 'second.b'], ['d']),
      makeNode('Relu', ['d'], ['e']),
      makeNode('Gemm', ['e', 'third.w', 'third.b'], ['y'], {}, 'third'),
    ],
    [
      weights('first.w', [48, 64], 64),
      weights('first.b', [48]),
      weights('second.w', [48, 32]),
      weights('second.b', [32]),
      weights('third.w', [32, 10]),
      weights('third.b', [10]),
    ],
    [10],
  );

/** Attention of one head over 4 places of 16 numbers, a feed-forward layer, the mean over places. */
const transformer = () => {
  const product = (x: string, name: string, y: string) => [
    makeNode('MatMul', [x, `${name}.w`], [`${y}.0`], {}, name),
    makeNode('Add', [`${y}.0`, `${name}.b`], [y]),
  ];
  const layer = (name: string, rows: number, columns: number) => [
    weights(`${name}.w`, [rows, columns]),
    weights(`${name}.b`, [columns]),
  ];
  return modelOf(
    [64],
    [
      makeNode('Reshape', ['input', 'places'], ['x']),
      makeNode('LayerNormalization', ['x', 'ln.g', 'ln.b'], ['n']),
      ...product('n', 'query', 'q'),
      ...product('n', 'key', 'k'),
      ...product('n', 'value', 'v'),
      makeNode('Transpose', ['k'], ['kt'], { perm: attribute([0, 2, 1]) }),
      makeNode('MatMul', ['q', 'kt'], ['scores']),
      makeNode('Mul', ['scores', 'scale'], ['scaled']),
      makeNode('Softmax', ['scaled'], ['shares'], { axis: attribute(-1) }),
      makeNode('MatMul', ['shares', 'v'], ['heads']),
      ...product('heads', 'out', 'o'),
      makeNode('Add', ['x', 'o'], ['r']),
      ...product('r', 'wide', 'h'),
      makeNode('Relu', ['h'], ['hr']),
      ...product('hr', 'narrow', 'h2'),
      makeNode('Add', ['r', 'h2'], ['s']),
      makeNode('ReduceMean', ['s', 'axis'], ['mean'], { keepdims: attribute(0) }),
      makeNode('Gemm', ['mean', 'head.w', 'head.b'], ['y'], {}, 'head'),
    ],
    [
      int64Tensor('places', [3], [-1, 4, 16]),
      int64Tensor('axis', [1], [1]),
      floatTensor('scale', [], [0.25]),
      weights('ln.g', [16], 1),
      weights('ln.b', [16]),
      ...['query', 'key', 'value', 'out'].flatMap((name) => layer(name, 16, 16)),
      ...layer('wide', 16, 32),
      ...layer('narrow', 32, 16),
      ...layer('head', 16, 10),
    ],
    [10],
  );
};

/** One matrix looks rows up, and tells how much the mean of them is like each row. */
const tiedEmbedding = () =>
  modelOf(
    [64],
    [
      makeNode('Abs', ['input'], ['positive']),
      makeNode('Mul', ['positive', 'ten'], ['spread']),
      makeNode('Clip', ['spread', '', 'nine'], ['within']),
      makeNode('Cast', ['within'], ['ids'], { to: attribute(7) }),
      makeNode('Gather', ['table', 'ids'], ['rows'], { axis: attribute(0) }),
      makeNode('ReduceMean', ['rows', 'axis'], ['mean'], { keepdims: attribute(0) }),
      makeNode('Gemm', ['mean', 'inner.w', 'inner.b'], ['inner'], {}, 'inner'),
      makeNode('Relu', ['inner'], ['hidden']),
      makeNode('Gemm', ['hidden', 'table'], ['y'], { transB: attribute(1) }, 'head'),
    ],
    [
      floatTensor('ten', [], [9.5]),
      floatTensor('nine', [], [9]),
      int64Tensor('axis', [1], [1]),
      weights('table', [10, 64], 1),
      weights('inner.w', [64, 64]),
      weights('inner.b', [64]),
    ],
    [10],
  );

/** One matrix, read as it is by one layer and turned by the next: their output channels are different axes of it. */
const sharedMatrix = () =>
  modelOf(
    [64],
    [
      makeNode('Gemm', ['input', 'w', 'b'], ['a'], {}, 'as_it_is'),
      makeNode('Relu', ['a'], ['c']),
      makeNode('Gemm', ['c', 'w', 'b'], ['d'], { transB: attribute(1) }, 'turned'),
      makeNode('Relu', ['d'], ['e']),
      makeNode('MatMul', ['e', 'w'], ['f'], {}, 'product'),
      makeNode('Gemm', ['f', 'last', 'last.b'], ['y'], {}, 'last'),
    ],
    [weights('w', [64, 64]), weights('b', [64]), weights('last', [64, 10]), weights('last.b', [10])],
    [10],
  );

/** A matrix that a layer reads, and both branches of an If. */
function branching(): Model {
  const branch = (name: string, nodes: Node[]): Graph => ({
    name,
    nodes,
    initializers: new Map(),
    sparseInitializers: new Map(),
    inputs: [],
    outputs: [{ name: nodes.at(-1)!.outputs[0]!, dataType: 'float', shape: undefined }],
    valueInfo: [],
  });
  return modelOf(
    [64],
    [
      makeNode('Gemm', ['input', 'w', 'b'], ['a'], {}, 'before'),
      makeNode('Relu', ['a'], ['c']),
      makeNode('ReduceMax', ['c'], ['most'], { keepdims: attribute(0) }),
      makeNode('Greater', ['most', 'zero'], ['any']),
      makeNode('If', ['any'], ['chosen'], {
        then_branch: { kind: 'graph', value: branch('then', [makeNode('MatMul', ['c', 'w'], ['p'])]) },
        else_branch: { kind: 'graph', value: branch('else', [makeNode('Gemm', ['c', 'w', 'b'], ['q'])]) },
      }),
      makeNode('Gemm', ['chosen', 'last', 'last.b'], ['y'], {}, 'last'),
    ],
    [
      weights('w', [64, 64]),
      weights('b', [64]),
      floatTensor('zero', [], [0]),
      weights('last', [64, 10]),
      weights('last.b', [10]),
    ],
    [10],
  );
}

/** A dense layer and a Relu as a function of the model, called twice with one matrix. */
function calling(): Model {
  const nodes = [makeNode('Gemm', ['x', 'w', 'b'], ['sum'], {}, 'dense'), makeNode('Relu', ['sum'], ['out'])];
  const def: FunctionDef = {
    name: 'Dense',
    domain: 'own',
    overload: '',
    inputs: ['x', 'w', 'b'],
    outputs: ['out'],
    nodes,
    defaults: new Map(),
    opsets: new Map([['', 18]]),
    bytes: functionBytes(),
  };
  const call = (x: string, y: string): Node => ({ ...makeNode('Dense', [x, 'w', 'b'], [y], {}, y), domain: 'own' });
  const model = modelOf(
    [64],
    [
      call('input', 'first'),
      call('first', 'second'),
      makeNode('Gemm', ['second', 'last', 'last.b'], ['y'], {}, 'last'),
    ],
    [weights('w', [64, 64]), weights('b', [64]), weights('last', [64, 10]), weights('last.b', [10])],
    [10],
  );
  model.opsets.set('own', 1);
  model.functions.push(def);
  return readOnnx(writeOnnx(model));
}

/** FunctionProto of the function above: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto */
function functionBytes(): Uint8Array {
  const field = (number: number, content: Uint8Array | string) => {
    const bytes = Buffer.from(content);
    return Buffer.concat([Buffer.of((number << 3) | 2, bytes.length), bytes]);
  };
  const node = (inputs: string[], output: string, opType: string) =>
    field(
      7,
      Buffer.concat([...inputs.map((name) => field(1, name)), field(2, output), field(3, opType), field(4, opType)]),
    );
  return Buffer.concat([
    field(1, 'Dense'),
    ...['x', 'w', 'b'].map((name) => field(4, name)),
    field(5, 'out'),
    node(['x', 'w', 'b'], 'sum', 'Gemm'),
    node(['sum'], 'out', 'Relu'),
    field(9, Buffer.of(0x10, 18)), // operator set 18 of ai.onnx
    field(10, 'own'),
  ]);
}

/** Networks as they are usually made. */
export const usualModels: Readonly<Record<string, () => Model>> = {
  'a convolutional network with batch normalizations and a residual sum': residualCnn,
  'a network of dense layers': mlp,
  'a transformer of matrix products': transformer,
};

/** Networks in which something is read from more than one place. */
export const entwinedModels: Readonly<Record<string, () => Model>> = {
  'an embedding that is the head, too': tiedEmbedding,
  'a matrix that layers read along different axes': sharedMatrix,
  'a matrix that branches of an If read': branching,
  'a matrix that goes into functions': calling,
};
