import { checkAdmission } from './admission.js';
import { makeNode } from './edit.js';
import type { Model, Tensor } from './model.js';
import { attribute, floatTensor, intTensor } from './tensor.js';
import { writeOnnx } from './write-onnx.js';

const sizes = { K: 40, N: 3, bits: 4, block_size: 32 };

/** [n, 40] times a matrix [40, 3] in two blocks of 32. */
function modelOf(changes: Partial<typeof sizes> = {}, weights: readonly number[] = [3, 2, 16], inputs = 4): Model {
  const attributes = Object.fromEntries(
    Object.entries({ ...sizes, ...changes }).map(([name, value]) => [name, attribute(value)]),
  );
  const node = makeNode('MatMulNBits', ['x', 'w', 's', 'z', '', '', ''].slice(0, inputs), ['y'], attributes, 'few');
  const count = weights.reduce((product, size) => product * size, 1);
  const tensors = [
    intTensor('w', 'uint8', weights, new Uint8Array(count)),
    floatTensor('s', [3, 2], new Float32Array(6)),
    intTensor('z', 'uint8', [3, 1], new Uint8Array(3)),
  ];
  return {
    irVersion: 9,
    opsets: new Map([
      ['', 18],
      ['com.microsoft', 1],
    ]),
    producer: 'test',
    metadata: new Map(),
    functions: [],
    graph: {
      name: 'test',
      nodes: [{ ...node, domain: 'com.microsoft' }],
      initializers: new Map(tensors.map((tensor) => [tensor.name, tensor])),
      sparseInitializers: new Map(),
      inputs: [{ name: 'x', dataType: 'float', shape: ['n', 40] }],
      outputs: [{ name: 'y', dataType: 'float', shape: ['n', 3] }],
      valueInfo: [],
    },
  };
}

describe('matrices in few bits are admitted', () => {
  it.each([3, 4])('with %i inputs whose sizes fit', (inputs) =>
    expect(() => checkAdmission(writeOnnx(modelOf({}, [3, 2, 16], inputs)))).not.toThrow(),
  );

  it.each<[string, Model, string]>([
    [
      'blocks that are too few',
      modelOf({}, [3, 1, 16]),
      "node 'few' (MatMulNBits) has 'w', uint8 [3, 1, 16], wants uint8 [3, 2, 16]",
    ],
    ['more rows than there are', modelOf({ K: 4000 }), 'wants uint8 [3, 125, 16]'],
    ['no columns', modelOf({ N: 0 }), "node 'few' (MatMulNBits) has K 40, N 0, bits 4 and block_size 32"],
    ['bits nobody has', modelOf({ bits: 5 }), 'bits 5'],
    ['blocks of odd sizes', modelOf({ block_size: 33 }), 'block_size 33'],
  ])('but not %s', (_, model, message) => expect(() => checkAdmission(writeOnnx(model))).toThrow(message));

  it('but not where the weights are fed', () => {
    const model = modelOf();
    model.graph.inputs.push({ name: 'w', dataType: 'uint8', shape: [3, 2, 16] });
    expect(() => checkAdmission(writeOnnx(model))).toThrow("has 'w', no constant, wants uint8 [3, 2, 16]");
  });
});

/** x [n, 40] in eight bits times w [40, 3], plus a row. */
function productOf(changes: Readonly<Record<string, Tensor>> = {}, inputs = 9): Model {
  const tensors = [
    intTensor('w', 'int8', [40, 3], new Int8Array(120)),
    floatTensor('ws', [3], [1, 1, 1]),
    intTensor('wz', 'int8', [3], [0, 0, 0]),
    floatTensor('xs', [], [1]),
    intTensor('xz', 'uint8', [], [0]),
    intTensor('b', 'int32', [3], [1, 2, 3]),
  ];
  const model = modelOf();
  const names = ['q', 'xs', 'xz', 'w', 'ws', 'wz', 'b', 'xs', 'xz'].slice(0, inputs);
  model.graph.nodes = [
    makeNode('QuantizeLinear', ['x', 'xs', 'xz'], ['q']),
    { ...makeNode('QGemm', names, ['y'], {}, 'product'), domain: 'com.microsoft' },
  ];
  model.graph.initializers = new Map(tensors.map((tensor) => [tensor.name, changes[tensor.name] ?? tensor]));
  model.graph.outputs = [{ name: 'y', dataType: inputs === 9 ? 'uint8' : 'float', shape: ['n', 3] }];
  return model;
}

describe('operators on integers are admitted', () => {
  it.each([7, 9])('with %i inputs whose scales fit', (inputs) =>
    expect(() => checkAdmission(writeOnnx(productOf({}, inputs)))).not.toThrow(),
  );

  it.each<[string, Record<string, Tensor>, string]>([
    [
      'two scales of one value',
      { xs: floatTensor('xs', [2], [1, 1]) },
      "node 'product' (QGemm) has 'xs', float [2], wants float []",
    ],
    ['zero points of another type', { xz: intTensor('xz', 'int32', [], [0]) }, 'wants uint8 or int8 []'],
    ['fewer zero points than scales', { wz: intTensor('wz', 'int8', [2], [0, 0]) }, "has 'wz', int8 [2], wants"],
  ])('but not with %s', (_, changes, message) =>
    expect(() => checkAdmission(writeOnnx(productOf(changes)))).toThrow(message),
  );
});
