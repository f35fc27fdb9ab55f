import { attribute, emptyGraph, floatAttribute, floatTensor, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Attribute, Model, Tensor } from '@modelmill/onnx';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { emit } from './emit.js';
import { TrainingFormError, UnsupportedOpError } from './errors.js';
import { readGraph } from './read-graph.js';
import { numbers, runnable } from './run-for-tests.js';

interface Case {
  readonly opType: string;
  readonly opset: number;
  readonly shape: readonly number[];
  readonly weights?: Readonly<Record<string, readonly number[]>>;
  readonly attributes?: Record<string, Attribute>;
}

const tensorOf = (name: string, dims: readonly number[], seed: number): Tensor =>
  floatTensor(
    name,
    dims,
    numbers(
      dims.reduce((product, size) => product * size, 1),
      { seed, low: 0.5, high: 2 },
    ),
  );

const cases: readonly Case[] = [
  {
    opType: 'GroupNormalization',
    opset: 21,
    shape: [2, 6, 3],
    weights: { scale: [6], bias: [6] },
    attributes: { num_groups: attribute(3), epsilon: floatAttribute(0.01) },
  },
  {
    opType: 'RMSNormalization',
    opset: 23,
    shape: [2, 3, 4],
    weights: { scale: [4] },
    attributes: { axis: attribute(-1) },
  },
  { opType: 'InstanceNormalization', opset: 18, shape: [2, 3, 5], weights: { scale: [3], bias: [3] } },
  { opType: 'MeanVarianceNormalization', opset: 13, shape: [2, 3, 4, 2] },
  { opType: 'LayerNormalization', opset: 17, shape: [2, 3, 4], weights: { scale: [4], bias: [4] } },
  { opType: 'LayerNormalization', opset: 17, shape: [2, 3, 4], weights: { scale: [4] } },
  { opType: 'Gelu', opset: 20, shape: [2, 5] },
  { opType: 'Gelu', opset: 20, shape: [2, 5], attributes: { approximate: attributeOfWord('tanh') } },
  { opType: 'HardSwish', opset: 14, shape: [2, 5] },
  // forms of older sets
  { opType: 'Softmax', opset: 11, shape: [2, 3, 4] },
  { opType: 'LogSoftmax', opset: 11, shape: [2, 3, 4], attributes: { axis: attribute(2) } },
  { opType: 'Clip', opset: 6, shape: [2, 5], attributes: { max: floatAttribute(0.5) } },
  { opType: 'Clip', opset: 6, shape: [2, 5], attributes: { min: floatAttribute(-0.5), max: floatAttribute(0.5) } },
];

function attributeOfWord(value: string): Attribute {
  return { kind: 'string', value };
}

/** The operator as ONNX Runtime computes it, and as training does: in operators of set 18. */
describe('an operator that training reads in words of its own gives the same numbers:', () => {
  it.each(cases.map((one) => [`${one.opType} ${Object.keys(one.attributes ?? {}).join()}`, one] as const))(
    '%s',
    async (_, one) => {
      const { opType, opset, shape, weights = {}, attributes = {} } = one;
      const graph = emptyGraph('operator');
      graph.inputs = [{ name: 'x', dataType: 'float', shape }];
      graph.outputs = [{ name: 'y', dataType: 'float', shape }];
      Object.entries(weights).forEach(([name, dims], i) => graph.initializers.set(name, tensorOf(name, dims, i + 7)));
      graph.nodes = [makeNode(opType, ['x', ...Object.keys(weights)], ['y'], attributes, 'node')];
      const model: Model = {
        irVersion: 10,
        opsets: new Map([['', opset]]),
        producer: '',
        metadata: new Map(),
        graph,
        functions: [],
      };
      const x = numbers(
        shape.reduce((product, size) => product * size, 1),
        { seed: 3, low: -2, high: 2 },
      );
      const session = await InferenceSession.create(writeOnnx(model), { logSeverityLevel: 3 });
      const wanted = (await session.run({ x: new OrtTensor('float32', x, shape) }))['y']!.data as Float32Array;

      const read = readGraph(model, shape[0]!);
      const inputs = [read.features, ...read.weights.values()];
      const run = await runnable(emit({ name: 'lowered', inputs, outputs: new Map([['y', read.output]]) }));
      const feeds = Object.entries(weights).map(([name, dims], i) => {
        const { bytes } = tensorOf(name, dims, i + 7);
        return [name, { dims, data: new Float32Array(new Uint8Array(bytes).buffer) }] as const;
      });
      const got = await run({ x: { dims: shape, data: x }, ...Object.fromEntries(feeds) });
      wanted.forEach((value, i) => expect(got['y']![i]).toBeCloseTo(value, 4));
    },
  );
});

it.each([
  ['TensorScatter', 24, {}, UnsupportedOpError],
  ['Add', 6, { broadcast: attribute(1) }, TrainingFormError],
] as const)('%s of set %d is refused by the name of its node', (opType, opset, attributes, kind) => {
  const graph = emptyGraph('later');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: [2, 3, 4] }];
  graph.outputs = [{ name: 'y', dataType: 'float', shape: [2, 3, 4] }];
  const inputs = ['x', 'x', 'x'].slice(0, opType === 'Add' ? 2 : 3);
  graph.nodes = [makeNode(opType, inputs, ['y'], attributes, 'the odd one')];
  const opsets = new Map([['', opset]]);
  const model: Model = { irVersion: 10, opsets, producer: '', metadata: new Map(), graph, functions: [] };
  expect(() => readGraph(model, 2)).toThrow(/'the odd one'/);
  if (opType !== 'TensorScatter') expect(() => readGraph(model, 2)).toThrow(kind);
});
