import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { rowsOf } from '@modelmill/data';
import { attribute, elementCount, floatAttribute, floatTensor, intsOf, makeNode } from '@modelmill/onnx';
import { cloneModel, readOnnx, removeUnused, writeOnnx } from '@modelmill/onnx';
import type { Model, Node } from '@modelmill/onnx';
import { nearestMeans, readDigits } from '../digits-for-tests.js';
import { foldBatchNorm } from './fold-batch-norm.js';
import { modelOf, numbers, someCnn } from '../models-for-tests.js';
import { exampleOf, fidelity, openOnCpu, operatorsRun, quantizedOn } from './quantize-for-tests.js';
import { quantizableTensors, quantizeStatic } from './quantize-static.js';

const weights = (name: string, dims: number[]) => {
  const fanIn = elementCount(dims) / dims[0]!;
  return floatTensor(
    name,
    dims,
    numbers(elementCount(dims)).map((value, i) => (value * (1 + (i % 7))) / (4 * Math.sqrt(fanIn))),
  );
};

const pads = attribute([1, 1, 1, 1]);
const conv = (input: string, w: string, output: string) => makeNode('Conv', [input, w, 'b'], [output], { pads });
const image = [4, 6, 6];
const imageNet = (nodes: Node[], output: readonly number[]): Model =>
  modelOf(
    image,
    nodes,
    [
      weights('w1', [4, 4, 3, 3]),
      weights('w2', [4, 4, 3, 3]),
      weights('b', [4]),
      weights('dense', [5, 4]),
      weights('dense_bias', [1, 5]),
      floatTensor('zero', [], [0]),
      floatTensor('six', [], [0.6]),
    ],
    output,
  );
const images = exampleOf([8, ...image]);

const residual = imageNet(
  [
    conv('input', 'w1', 'c1'),
    makeNode('Relu', ['c1'], ['r1']),
    conv('r1', 'w2', 'c2'),
    makeNode('Sum', ['c2', 'r1'], ['sum']),
    makeNode('Relu', ['sum'], ['r2']),
    makeNode('AveragePool', ['r2'], ['halved'], { kernel_shape: attribute([2, 2]), strides: attribute([2, 2]) }),
    makeNode('GlobalAveragePool', ['halved'], ['mean']),
    makeNode('Flatten', ['mean'], ['flat']),
    makeNode('Gemm', ['flat', 'dense', 'dense_bias'], ['y'], {
      transB: attribute(1),
      alpha: floatAttribute(0.5),
      beta: floatAttribute(2),
    }),
  ],
  [5],
);

const clipped = imageNet(
  [
    conv('input', 'w1', 'c1'),
    makeNode('Clip', ['c1', 'zero', 'six'], ['r1']),
    makeNode('MaxPool', ['r1'], ['p1'], { kernel_shape: attribute([2, 2]) }),
    conv('p1', 'w2', 'y'),
  ],
  [4, 5, 5],
);

/** What lies before the Relu is read by others, too. */
const forked = imageNet(
  [
    conv('input', 'w1', 'c1'),
    makeNode('Relu', ['c1'], ['r1']),
    makeNode('Concat', ['c1', 'r1'], ['both'], { axis: attribute(2) }),
    conv('both', 'w2', 'c2'),
    makeNode('Sigmoid', ['c2'], ['y']),
  ],
  [4, 12, 6],
);

const sequence = modelOf(
  [3, 16],
  [
    makeNode('MatMul', ['input', 'm1'], ['p1']),
    makeNode('Add', ['p1', 'b1'], ['s1']),
    makeNode('Relu', ['s1'], ['r1']),
    makeNode('MatMul', ['r1', 'm2'], ['p2']),
    makeNode('Add', ['p2', 'b2'], ['y']),
  ],
  [weights('m1', [16, 8]), weights('b1', [8]), weights('m2', [8, 4]), weights('b2', [4])],
  [3, 4],
);

const cases = [
  {
    net: 'a small classifier',
    model: someCnn(),
    example: exampleOf([8, 64]),
    layers: 2,
    products: ['QLinearConv', 'QGemm'],
  },
  {
    net: 'a residual network',
    model: residual,
    example: images,
    layers: 3,
    products: ['QLinearConv', 'QLinearAdd', 'QGemm'],
  },
  { net: 'a clipped network', model: clipped, example: images, layers: 2, products: ['QLinearConv', 'NhwcMaxPool'] },
  { net: 'a forked network', model: forked, example: images, layers: 2, products: ['QLinearConv', 'QLinearConcat'] },
  {
    net: 'a network over sequences',
    model: sequence,
    example: exampleOf([8, 3, 16]),
    layers: 2,
    products: ['MatMulIntegerToFloat'],
  },
];

describe('static quantization', () => {
  it.each(cases)('of $net answers as the float model does', async ({ model, example, layers }) => {
    const quantized = await quantizedOn(example, model);
    expect(quantized.layers).toBe(layers);
    expect(await fidelity(model, quantized.model, example)).toBeGreaterThan(25);
  });

  it.each(cases)('of $net is computed in integers', async ({ model, example, products }) => {
    const quantized = await quantizedOn(example, model);
    const run = await operatorsRun(quantized.model);
    expect(Object.keys(run)).toEqual(expect.arrayContaining(products));
    for (const float of ['Conv', 'FusedConv', 'Gemm', 'MatMul', 'Sum', 'Clip']) expect(run).not.toHaveProperty(float);
  });

  it.each(cases)('of $net keeps the names and types of what goes in and out', async ({ model, example }) => {
    const quantized = await quantizedOn(example, model);
    await using before = await openOnCpu(model);
    await using after = await openOnCpu(quantized.model);
    expect([after.inputs, after.outputs]).toEqual([before.inputs, before.outputs]);
  });

  it('stores weights in a quarter of the bytes', async () => {
    const quantized = await quantizedOn(exampleOf([8, 64]), someCnn());
    const { initializers } = quantized.model.graph;
    expect(initializers.get('matrix_quantized')).toMatchObject({ dataType: 'int8', dims: [256, 10] });
    expect(initializers.has('matrix')).toBe(false);
    const bytes = ({ graph }: Model) =>
      [...graph.initializers.values()].reduce((sum, tensor) => sum + tensor.bytes.length, 0);
    expect(bytes(quantized.model) / bytes(someCnn())).toBeLessThan(0.3);
  });

  it('stores weights that layers share once', async () => {
    const nodes = [conv('input', 'w1', 'c1'), makeNode('Relu', ['c1'], ['r1']), conv('r1', 'w1', 'y')];
    const shared = imageNet(nodes, [4, 6, 6]);
    const { model } = await quantizedOn(images, shared);
    const kernels = [...model.graph.initializers.values()].filter(({ dims }) => dims.length === 4);
    expect(kernels.map(({ name, dataType }) => [name, dataType])).toEqual([['w1_quantized', 'int8']]);
    expect(await fidelity(shared, model, images)).toBeGreaterThan(25);
  });

  it('lets a Relu go into the range of its output, whose zero point is 0', async () => {
    const { model } = await quantizedOn(exampleOf([8, 64]), someCnn());
    expect(model.graph.nodes.map(({ opType }) => opType)).not.toContain('Relu');
    expect(intsOf(model.graph.initializers.get('positive_zero_point')!)).toEqual([0]);
    expect(model.graph.nodes.find(({ opType }) => opType === 'Conv')!.outputs).toEqual(['positive']);
  });

  it('keeps a Clip clipping where a range is wider', async () => {
    const { ranges } = await quantizedOn(images, clipped);
    const model = cloneModel(clipped);
    quantizeStatic(model, new Map([...ranges, ['r1', { min: -0.6, max: 1.2 }]]));
    expect(model.graph.nodes.map(({ opType }) => opType)).not.toContain('Clip');
    expect(await fidelity(clipped, model, images)).toBeGreaterThan(25);
  });

  it('takes weights that old files list as inputs from the inputs', async () => {
    const old = someCnn();
    const listed = [...old.graph.initializers.values()].map(({ name, dims }) => ({ name, dims }));
    for (const { name, dims } of listed.filter(({ name }) => name !== 'image')) {
      old.graph.inputs.push({ name, dataType: 'float', shape: dims });
    }
    const { model } = await quantizedOn(exampleOf([8, 64]), { ...old, irVersion: 3 });
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(['input']);
    expect(await fidelity(someCnn(), model, exampleOf([8, 64]))).toBeGreaterThan(25);
  });

  it('wants ranges of what it makes and takes, not of what is only moved', () => {
    expect(quantizableTensors(someCnn())).toEqual(['pixels', 'positive']);
    expect(quantizableTensors(residual)).toEqual(['input', 'r1', 'c2', 'r2', 'halved', 'mean']);
    expect(quantizableTensors(clipped)).toEqual(['input', 'r1', 'y']);
    expect(quantizableTensors(sequence)).toEqual(['input', 'r1']);
  });

  it('names the ranges that are missing, and leaves the model as it was', () => {
    const model = someCnn();
    const before = writeOnnx(model);
    expect(() => quantizeStatic(model, new Map([['pixels', { min: 0, max: 1 }]]))).toThrow("ranges want 'positive'");
    expect(writeOnnx(model)).toEqual(before);
  });

  it('adds a mask of −∞ in floats, and spoils nothing by it', async () => {
    const mask = floatTensor('mask', [8], [0, 0, 0, -Infinity, 0, -Infinity, 0, 0]);
    const masked = modelOf(
      [16],
      [
        makeNode('MatMul', ['input', 'w'], ['p']),
        makeNode('Add', ['p', 'mask'], ['s']),
        makeNode('Softmax', ['s'], ['y']),
      ],
      [weights('w', [16, 8]), mask],
      [8],
    );
    const example = exampleOf([4, 16]);
    const { model, layers } = await quantizedOn(example, masked);
    expect(layers).toBe(1);
    expect(await fidelity(masked, model, example)).toBeGreaterThan(20);
  });

  it('leaves a model without constant weights as it is', () => {
    const model = modelOf([4], [makeNode('Relu', ['input'], ['y'])], [], [4]);
    const before = writeOnnx(model);
    expect(quantizableTensors(model)).toEqual([]);
    expect(quantizeStatic(model, new Map())).toEqual({ layers: 0 });
    expect(writeOnnx(model)).toEqual(before);
  });

  it('costs at most 0.005 of accuracy on real digits', async () => {
    const digits = await readDigits();
    const model = await nearestMeans(digits);
    const { table, train, test } = digits;
    const examples = (rows: Uint32Array) => ({
      dims: [rows.length, 64],
      data: rowsOf(table, rows).features,
    });
    const quantized = await quantizedOn(examples(train.subarray(0, 256)), model);
    const accuracy = async (of: Model) => {
      await using session = await openOnCpu(of);
      const { probabilities } = await session.run({ input: examples(test) });
      const scores = probabilities!.data as Float32Array;
      const { targets } = rowsOf(table, test);
      const right = [...test].filter((_, i) => {
        const some = scores.subarray(10 * i, 10 * i + 10);
        return some.indexOf(Math.max(...some)) === targets[i];
      });
      return right.length / test.length;
    };
    expect(Math.abs((await accuracy(quantized.model)) - (await accuracy(model)))).toBeLessThanOrEqual(0.005);
  });
});

const squeezeNet = fileURLToPath(
  new URL('../../../../../shared/data/onnx-models/light/light_squeezenet.onnx', import.meta.url),
);

/** Its weights were replaced by their sizes: these are others, and the images smaller. */
function withWeights(model: Model): Model {
  const { graph } = model;
  for (const { inputs, outputs } of graph.nodes.filter(({ opType }) => opType === 'ConstantOfShape')) {
    const dims = intsOf(graph.initializers.get(inputs[0]!)!);
    graph.initializers.set(outputs[0]!, weights(outputs[0]!, dims));
  }
  graph.nodes = graph.nodes.filter(({ opType }) => opType !== 'ConstantOfShape');
  removeUnused(graph);
  graph.inputs = [{ name: 'data_0', dataType: 'float', shape: [1, 3, 64, 64] }];
  return { ...model, irVersion: 7 };
}

describe('a published network of opset 9', () => {
  const quantizes = existsSync(squeezeNet) ? it : it.skip;
  quantizes('runs in integers from its first layer to its last (needs ../shared/data/onnx-models)', async () => {
    const model = withWeights(readOnnx(readFileSync(squeezeNet)));
    const example = exampleOf([1, 3, 64, 64]);
    const folded = cloneModel(model);
    expect(foldBatchNorm(folded)).toBe(0);
    const quantized = await quantizedOn(example, folded);
    expect(quantized.layers).toBe(26);
    expect(await fidelity(model, quantized.model, example)).toBeGreaterThan(20);
    const run = await operatorsRun(quantized.model);
    expect(run).toMatchObject({ QuantizeLinear: 1, QLinearConv: 26, QLinearConcat: 8 });
    expect(run).not.toHaveProperty('Conv');
  });
});
