import {
  attribute,
  dataTypes,
  elementCount,
  emptyGraph,
  floatTensor,
  inferShapes,
  int64Tensor,
  intTensor,
  makeNode,
  oipDatatype,
  readOnnx,
  ShapeError,
  writeOnnx,
} from '@modelmill/onnx';
import type { Attribute, DataType, Model, Tensor } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import type { TypedTensor } from '@modelmill/runtime';
import { fedInputs, itEachModel, lift, modelFiles, typed } from './onnx-models.js';

/** What shape inference does not know: sequences, strings, training, and shapes that are fed. */
const unknown = /expand_shape|gradient|sequence|strnorm/;
const known = modelFiles.filter(({ name }) => !unknown.test(name));

describe('inferShapes', () => {
  itEachModel('has the shapes ONNX Runtime computes, inner values too', known, async ({ bytes, published }) => {
    const model = readOnnx(bytes);
    if (model.opsets.get('')! < 7) lift(model);
    const inputs = fedInputs(model.graph).map(({ name }, i) => [name, typed(published().inputs[i]!)] as const);
    // weights made by nodes would only be copied about
    const inner = model.graph.nodes.filter(({ opType }) => !/^Constant/.test(opType));
    await expectRuntimeShapes(
      model,
      Object.fromEntries(inputs),
      inner.flatMap(({ outputs }) => outputs.filter((name) => name !== '')),
    );
  });

  itEachModel(
    'is refused with a reason that names a node',
    modelFiles.filter(({ name }) => unknown.test(name) && name !== 'test_sequence_model8'),
    ({ bytes }) => {
      expect(() => inferShapes(readOnnx(bytes))).toThrow(ShapeError);
      expect(() => inferShapes(readOnnx(bytes))).toThrow(/^node '.*' \(\w+\): /);
    },
  );

  it.each(cases())('%s: %s', async (_, __, { model, feeds }) => {
    const outputs = model.graph.nodes[0]!.outputs.filter((name) => name !== '');
    await expectRuntimeShapes(model, feeds, outputs);
  });
});

/** Runs the model with all these values as outputs, and compares their types. */
async function expectRuntimeShapes(model: Model, feeds: Record<string, TypedTensor>, values: readonly string[]) {
  const inferred = inferShapes(model, new Map(Object.entries(feeds).map(([name, { dims }]) => [name, dims])));
  const outputs = values.map((name) => ({ name, dataType: undefined, shape: undefined, opaque: new Uint8Array() }));
  await using session = await openSession(writeOnnx({ ...model, graph: { ...model.graph, outputs } }), {
    graphOptimization: 'disabled',
  });
  const results = await session.run(feeds);
  expect(values.length).toBeGreaterThan(0);
  const plain = (name: string) => {
    const type = inferred.get(name);
    return type && { name, datatype: oipDatatype(type.dataType), shape: [...type.shape] };
  };
  expect(values.map(plain)).toEqual(
    values.map((name) => ({ name, datatype: results[name]!.datatype, shape: [...results[name]!.dims] })),
  );
}

interface OneNode {
  readonly model: Model;
  readonly feeds: Record<string, TypedTensor>;
}

/** A shape stands for floats of it that are fed, a tensor for a constant, undefined for an input left out. */
type Operand = readonly number[] | Tensor | undefined;
type Options = Record<string, Attribute>;

function oneNode(
  opType: string,
  operands: readonly Operand[],
  options: Options,
  count: number,
  opset: number,
): OneNode {
  const isFed = (operand: Operand): operand is readonly number[] => Array.isArray(operand);
  const names = operands.map((operand, i) => (operand === undefined ? '' : `x${i}`));
  const fed = operands.flatMap((operand, i) => (isFed(operand) ? [[names[i]!, operand] as const] : []));
  const outputs = Array.from({ length: count }, (_, i) => `y${i}`);
  const graph = {
    ...emptyGraph('one node'),
    nodes: [makeNode(opType, names, outputs, options)],
    initializers: new Map(
      operands.flatMap((operand, i) =>
        operand === undefined || isFed(operand) ? [] : [[names[i]!, { ...operand, name: names[i]! }] as const],
      ),
    ),
    // sizes are symbols: they come with the feeds
    inputs: fed.map(([name, dims]) => ({
      name,
      dataType: 'float' as const,
      shape: dims.map((_, axis) => `${name}_${axis}`),
    })),
  };
  const opsets = new Map([['', opset]]);
  return {
    model: { irVersion: 8, opsets, producer: '', metadata: new Map(), functions: [], graph },
    feeds: Object.fromEntries(
      fed.map(([name, dims]) => [name, { dims, data: new Float32Array(elementCount(dims)) }] as const),
    ),
  };
}

function cases(): [string, string, OneNode][] {
  const rows: [string, string, OneNode][] = [];
  const ints = (...values: number[]) => int64Tensor('', [values.length], values);
  const scalar = (value: number) => int64Tensor('', [], [value]);
  const floats = (dims: readonly number[]) => floatTensor('', dims, new Float32Array(elementCount(dims)));
  const bytes = (dataType: 'uint8' | 'int8', dims: readonly number[]) =>
    intTensor('', dataType, dims, new Uint8Array(elementCount(dims)));
  const bools = (...values: number[]): Tensor => ({
    ...intTensor('', 'uint8', [values.length], values),
    dataType: 'bool',
  });
  const type = (name: DataType) => attribute(dataTypes[name]);
  const add = (
    does: string,
    opType: string,
    operands: readonly Operand[],
    options: Options = {},
    { outputs = 1, opset = 18 } = {},
  ) => rows.push([opType, does, oneNode(opType, operands, options, outputs, opset)]);

  for (const opType of 'Identity Neg Exp Sqrt Relu LeakyRelu Elu Sigmoid Tanh Softplus Erf Softmax LogSoftmax'.split(
    ' ',
  )) {
    add('keeps the shape', opType, [[2, 3]]);
  }
  for (const opType of ['Gelu', 'Mish', 'HardSwish']) add('keeps the shape', opType, [[2, 3]], {}, { opset: 20 });
  for (const opType of ['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Min', 'Max', 'PRelu']) {
    add('broadcasts', opType, [
      [2, 3, 4],
      [3, 1],
    ]);
  }
  add('broadcasts both ways', 'Add', [
    [2, 1, 4],
    [1, 3, 1],
  ]);
  add('broadcasts scalars and nothing', 'Mul', [[0, 3], []]);
  for (const opType of ['Equal', 'Greater', 'LessOrEqual']) add('gives booleans', opType, [[2, 3], [3]]);
  add('gives booleans', 'IsNaN', [[2, 3]]);
  add('broadcasts three', 'Where', [bools(1, 0, 1), [2, 1], []]);
  add('changes the type', 'Cast', [[2, 3]], { to: type('int64') });
  add('takes the type of its zero point', 'QuantizeLinear', [[2, 3], floats([]), bytes('int8', [])]);
  add('is uint8 without a zero point', 'QuantizeLinear', [[2, 3], floats([])]);
  add(
    'takes the type of its attribute',
    'QuantizeLinear',
    [[2, 3], floats([])],
    { output_dtype: type('int8') },
    { opset: 21 },
  );
  add('gives floats', 'DequantizeLinear', [bytes('uint8', [2, 3]), floats([]), bytes('uint8', [])]);
  add('has a mask', 'Dropout', [[2, 3]], {}, { outputs: 2 });
  add('has one output in inference', 'BatchNormalization', [
    [2, 3, 4],
    ...Array.from({ length: 4 }, () => floats([3])),
  ]);
  add(
    'has statistics in training',
    'BatchNormalization',
    [[2, 3, 4], ...Array.from({ length: 4 }, () => floats([3]))],
    { training_mode: attribute(1) },
    { outputs: 3 },
  );
  add('keeps the shape', 'InstanceNormalization', [[2, 3, 4], floats([3]), floats([3])]);
  add(
    'has the mean and deviation of the last axes',
    'LayerNormalization',
    [[2, 3, 4], floats([3, 4])],
    { axis: attribute(-2) },
    { outputs: 3 },
  );
  add('keeps the shape', 'LRN', [[1, 4, 3, 3]], { size: attribute(3) });
  add('multiplies matrices', 'MatMul', [
    [2, 3],
    [3, 5],
  ]);
  add('multiplies stacks of matrices', 'MatMul', [
    [7, 1, 2, 3],
    [4, 3, 5],
  ]);
  add('takes a vector on the left', 'MatMul', [[3], [4, 3, 5]]);
  add('takes a vector on the right', 'MatMul', [[4, 2, 3], [3]]);
  add('turns its operands', 'Gemm', [[3, 2], [5, 3], [5]], { transA: attribute(1), transB: attribute(1) });
  add('slides', 'Conv', [[2, 3, 9, 8], floats([4, 3, 3, 2])]);
  add('strides, dilates, pads', 'Conv', [[2, 3, 11, 12], floats([4, 3, 3, 2])], {
    strides: attribute([2, 3]),
    dilations: attribute([2, 1]),
    pads: attribute([1, 0, 2, 1]),
  });
  for (const [opType, gates, outputs] of [
    ['LSTM', 4, 3],
    ['GRU', 3, 2],
    ['RNN', 1, 2],
  ] as const) {
    const weights = (directions: number) => [floats([directions, gates * 5, 3]), floats([directions, gates * 5, 5])];
    add(
      'has the states of every step and the last',
      opType,
      [[7, 2, 3], ...weights(1)],
      {
        hidden_size: attribute(5),
      },
      { outputs },
    );
    add(
      'goes both ways',
      opType,
      [[7, 2, 3], ...weights(2)],
      {
        hidden_size: attribute(5),
        direction: attribute('bidirectional'),
      },
      { outputs },
    );
  }
  add('keeps the size it is told to', 'Conv', [[2, 4, 7, 8], floats([4, 2, 3, 3])], {
    auto_pad: attribute('SAME_UPPER'),
    strides: attribute([2, 2]),
    group: attribute(2),
  });
  add('keeps inside', 'Conv', [[2, 3, 7], floats([4, 3, 3])], { auto_pad: attribute('VALID') });
  add('grows', 'ConvTranspose', [[2, 3, 4, 5], floats([3, 2, 3, 3])], {
    strides: attribute([2, 3]),
    group: attribute(1),
    pads: attribute([1, 0, 1, 2]),
    output_padding: attribute([1, 0]),
    dilations: attribute([1, 2]),
  });
  add('grows by its stride', 'ConvTranspose', [[2, 4, 4, 5], floats([4, 2, 3, 3])], {
    strides: attribute([2, 3]),
    group: attribute(2),
    auto_pad: attribute('SAME_LOWER'),
  });
  add('has the sizes it is told', 'ConvTranspose', [[2, 3, 4, 5], floats([3, 2, 3, 3])], {
    strides: attribute([2, 2]),
    output_shape: attribute([9, 10]),
  });
  for (const opType of ['MaxPool', 'AveragePool']) {
    const kernel = { kernel_shape: attribute([3, 2]), strides: attribute([2, 2]) };
    add('rounds down', opType, [[1, 2, 8, 7]], kernel);
    add('rounds up', opType, [[1, 2, 8, 7]], { ...kernel, ceil_mode: attribute(1) });
    add('starts no window beyond the end', opType, [[1, 2, 8, 7]], {
      kernel_shape: attribute([1, 2]),
      strides: attribute([3, 4]),
      pads: attribute([0, 0, 0, 1]),
      ceil_mode: attribute(1),
    });
    add('keeps the size it is told to', opType, [[1, 2, 8, 7]], { ...kernel, auto_pad: attribute('SAME_LOWER') });
  }
  add('knows where the largest lay', 'MaxPool', [[1, 2, 8]], { kernel_shape: attribute([2]) }, { outputs: 2 });
  for (const opType of ['GlobalAveragePool', 'GlobalMaxPool']) add('leaves one', opType, [[2, 3, 4, 5]]);
  for (const opType of 'ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum ReduceLogSumExp'.split(
    ' ',
  )) {
    add('reduces one axis', opType, [[2, 3, 4], ints(-2)]);
  }
  add('drops the axes', 'ReduceSum', [[2, 3, 4], ints(0, 2)], { keepdims: attribute(0) });
  add('reduces all axes by default', 'ReduceSum', [[2, 3, 4]], { keepdims: attribute(0) });
  add('reduces all axes where it is given none', 'ReduceSum', [[2, 3, 4], ints()]);
  add('reduces nothing where it says so', 'ReduceSum', [[2, 3, 4], ints()], { noop_with_empty_axes: attribute(1) });
  add('takes axes as an attribute in older sets', 'ReduceMean', [[2, 3, 4]], { axes: attribute([1]) }, { opset: 13 });
  add('keeps the axis', 'ArgMax', [[2, 3, 4]], { axis: attribute(-1) });
  add('drops the axis', 'ArgMin', [[2, 3, 4]], { axis: attribute(1), keepdims: attribute(0) });
  add('copies and completes sizes', 'Reshape', [[2, 3, 4], ints(0, -1)]);
  add('takes zero literally where it says so', 'Reshape', [[0, 3], ints(3, 0)], { allowzero: attribute(1) });
  add('splits at its axis', 'Flatten', [[2, 3, 4]], { axis: attribute(2) });
  add('counts its axis from the end', 'Flatten', [[2, 3, 4, 5]], { axis: attribute(-3) });
  add('flattens a scalar', 'Flatten', [[]], { axis: attribute(0) });
  add('turns all axes by default', 'Transpose', [[2, 3, 4]]);
  add('permutes', 'Transpose', [[2, 3, 4]], { perm: attribute([1, 2, 0]) });
  add('drops every one', 'Squeeze', [[1, 3, 1]]);
  add('drops what it is told', 'Squeeze', [[1, 3, 1], ints(-1)]);
  add('adds axes', 'Unsqueeze', [[3, 4], ints(0, -1)]);
  add('takes axes as an attribute in older sets', 'Unsqueeze', [[3, 4]], { axes: attribute([1]) }, { opset: 12 });
  add('broadcasts to a shape', 'Expand', [[3, 1], ints(2, 1, 4)]);
  add('repeats', 'Tile', [[2, 3], ints(2, 0)]);
  add(
    'joins',
    'Concat',
    [
      [2, 3],
      [2, 0],
      [2, 4],
    ],
    { axis: attribute(-1) },
  );
  add('parts unevenly', 'Split', [[2, 7]], { axis: attribute(1), num_outputs: attribute(3) }, { outputs: 3 });
  add('parts as told', 'Split', [[7, 2], ints(3, 4)], {}, { outputs: 2 });
  add('cuts', 'Slice', [[5, 6], ints(1, -3), ints(2 ** 63, -1)]);
  add('cuts backwards', 'Slice', [[5, 6], ints(-1), ints(-(2 ** 63)), ints(1), ints(-4)]);
  add('cuts nothing out', 'Slice', [[5, 6], ints(4), ints(2), ints(-1), ints(1)]);
  add(
    'cuts by attribute in older sets',
    'Slice',
    [[5, 6]],
    { starts: attribute([1]), ends: attribute([100]), axes: attribute([1]) },
    { opset: 9 },
  );
  add('pads every axis', 'Pad', [[2, 3], ints(1, 0, 2, 3)]);
  add('pads some axes, or cuts', 'Pad', [[2, 3], ints(-1, 2), undefined, ints(-1)]);
  add('picks a row', 'Gather', [[5, 6], scalar(0)]);
  add('picks columns', 'Gather', [[5, 6], int64Tensor('', [2, 2], [0, 1, 2, 3])], { axis: attribute(1) });
  add('has the shape of its indices', 'GatherElements', [[5, 6], int64Tensor('', [1, 2], [0, 1])]);
  add('keeps the shape', 'ScatterElements', [[5, 6], int64Tensor('', [1, 2], [0, 1]), floats([1, 2])]);
  add('tells a shape', 'Shape', [[5, 6, 7]]);
  add('tells some of a shape', 'Shape', [[5, 6, 7]], { start: attribute(-2), end: attribute(9) });
  add('tells a count', 'Size', [[5, 6, 7]]);
  add('is what it holds', 'Constant', [], { value: attribute(int64Tensor('', [2], [1, 2])) });
  add('is a list of integers', 'Constant', [], { value_ints: attribute([1, 2, 3]) });
  add('is an integer', 'Constant', [], { value_int: attribute(1) });
  add('is a float', 'Constant', [], { value_float: { kind: 'float', value: 1 } });
  add('has the shape it is told', 'ConstantOfShape', [ints(2, 0, 3)]);
  add('has the type of its value', 'ConstantOfShape', [ints(2)], { value: attribute(int64Tensor('', [1], [4])) });
  add('counts the steps', 'Range', [scalar(2), scalar(11), scalar(4)]);
  add('adds an axis', 'OneHot', [int64Tensor('', [2, 3], [0, 1, 2, 0, 1, 2]), scalar(4), floats([2])], {
    axis: attribute(1),
  });
  add('shrinks', 'Shrink', [[5]]);
  return rows;
}
