import { attribute, checkAdmission, cloneModel, floatTensor, inferShapes } from '@modelmill/onnx';
import { makeNode, readOnnx, writeOnnx } from '@modelmill/onnx';
import type { Model, Node } from '@modelmill/onnx';
import { modelOf, numbers, someCnn } from '../models-for-tests.js';
import { isQuantized, weightFigures } from '../weighted-layers.js';
import { leftovers } from './leftovers.js';
import { exampleOf, fidelity, optimizedModel, quantizedOn, valuesOf } from './quantize-for-tests.js';
import { writeQOperators } from './write-qoperators.js';

const scaled = (name: string, dims: number[]) => {
  const count = dims.reduce((a, b) => a * b, 1);
  return floatTensor(name, dims, numbers(count).map((value) => value / Math.sqrt(count / dims[0]!))); // prettier-ignore
};
const pads = attribute([1, 1, 1, 1]);
const conv = (input: string, w: string, output: string) => makeNode('Conv', [input, w, 'b'], [output], { pads });
const imageNet = (nodes: Node[], output: readonly number[]): Model =>
  modelOf(
    [4, 6, 6],
    nodes,
    [
      scaled('w1', [4, 4, 3, 3]),
      scaled('w2', [4, 4, 3, 3]),
      scaled('w3', [4, 8, 3, 3]),
      scaled('b', [4]),
      scaled('dense', [5, 4]),
      scaled('dense_bias', [5]),
    ],
    output,
  );
const images = exampleOf([8, 4, 6, 6]);
const halving = { kernel_shape: attribute([2, 2]), strides: attribute([2, 2]) };

const cases = [
  {
    net: 'a classifier',
    model: someCnn(),
    example: exampleOf([8, 64]),
    operators: 'Reshape QuantizeLinear QLinearConv Flatten QGemm Softmax',
  },
  {
    net: 'a residual network',
    model: imageNet(
      [
        conv('input', 'w1', 'c1'),
        makeNode('Relu', ['c1'], ['r1']),
        conv('r1', 'w2', 'c2'),
        makeNode('Add', ['c2', 'r1'], ['sum']),
        makeNode('AveragePool', ['sum'], ['halved'], halving),
        makeNode('GlobalAveragePool', ['halved'], ['mean']),
        makeNode('Flatten', ['mean'], ['flat']),
        makeNode('Gemm', ['flat', 'dense', 'dense_bias'], ['y'], { transB: attribute(1) }),
      ],
      [5],
    ),
    example: images,
    operators:
      'QuantizeLinear QLinearConv QLinearConv QLinearAdd QLinearAveragePool QLinearGlobalAveragePool Flatten QGemm',
  },
  {
    net: 'a network that joins what it made',
    model: imageNet(
      [
        conv('input', 'w1', 'c1'),
        makeNode('LeakyRelu', ['c1'], ['l1']),
        makeNode('Sigmoid', ['c1'], ['s1']),
        makeNode('Mul', ['l1', 's1'], ['m1']),
        makeNode('Concat', ['m1', 'c1'], ['both'], { axis: attribute(1) }),
        makeNode('MaxPool', ['both'], ['p1'], halving),
        conv('p1', 'w3', 'y'),
      ],
      [4, 3, 3],
    ),
    example: images,
    operators:
      'QuantizeLinear QLinearConv QLinearLeakyRelu QLinearSigmoid QLinearMul QLinearConcat MaxPool QLinearConv DequantizeLinear',
  },
  {
    net: 'a network over sequences',
    model: modelOf(
      [3, 16],
      [
        makeNode('MatMul', ['input', 'm1'], ['p1']),
        makeNode('Relu', ['p1'], ['r1']),
        makeNode('MatMul', ['r1', 'm2'], ['p2']),
        makeNode('Add', ['p2', 'b2'], ['y']),
      ],
      [scaled('m1', [16, 8]), scaled('m2', [8, 4]), scaled('b2', [4])],
      [3, 4],
    ),
    example: exampleOf([8, 3, 16]),
    operators: 'QuantizeLinear QLinearMatMul MatMulIntegerToFloat DequantizeLinear Add',
  },
] as const;

async function written(net: Model, example: ReturnType<typeof exampleOf>) {
  const { model: qdq } = await quantizedOn(example, net);
  const model = cloneModel(qdq);
  const replaced = writeQOperators(model);
  return { qdq, model: readOnnx(writeOnnx(model)), replaced };
}

describe('the operator form', () => {
  it.each(cases)('of $net has an integer operator for each float one', async ({ model, example, operators }) => {
    const made = await written(model, example);
    const got = made.model.graph.nodes.map(({ opType }) => opType);
    expect(got.sort()).toEqual(operators.split(' ').sort());
    expect(made.replaced).toBe(got.filter((name) => /^Q(L|G)|Integer|Pool|Flatten/.test(name)).length);
  });

  it.each(cases)('of $net answers as the QDQ form does', async ({ model, example }) => {
    const made = await written(model, example);
    const [name] = model.graph.outputs.map((output) => output.name);
    const wanted = (await valuesOf(made.qdq, example)).get(name!)!;
    const got = (await valuesOf(made.model, example)).get(name!)!;
    wanted.forEach((value, i) => expect(got[i]).toBeCloseTo(value, 5));
    expect(await fidelity(model, made.model, example)).toBeGreaterThan(20);
    const left = leftovers(await optimizedModel(made.model));
    expect(left).toMatchObject({ floatProducts: 0 });
  });

  it.each(cases)('of $net is admitted, with as many weights and the same shapes', async ({ model, example }) => {
    const made = await written(model, example);
    expect(() => checkAdmission(writeOnnx(made.model))).not.toThrow();
    expect(isQuantized(made.model)).toBe(true);
    expect(weightFigures(made.model).parameters).toBe(weightFigures(made.qdq).parameters);
    const output = model.graph.outputs[0]!.name;
    const shapeOf = (of: Model) => inferShapes(of, new Map([['input', example.dims]])).get(output);
    expect(shapeOf(made.model)).toEqual(shapeOf(model));
  });

  it('leaves a float model as it is', () => {
    const model = someCnn();
    const before = writeOnnx(model);
    expect(writeQOperators(model)).toBe(0);
    expect(writeOnnx(model)).toEqual(before);
  });
});
