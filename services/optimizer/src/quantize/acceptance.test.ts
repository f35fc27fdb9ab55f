import { counterRandom } from '@modelmill/data';
import { attribute, cloneModel, floatTensor, floatsOf, intsOf, makeNode, readOnnx, sparsify } from '@modelmill/onnx';
import { writeOnnx } from '@modelmill/onnx';
import type { Model, Node, Tensor } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { modelOf, numbers } from '../models-for-tests.js';
import { cluster } from '../pack/cluster.js';
import { shareWeights } from '../pack/share-weights.js';
import { calibrate, withExtremes } from './calibrate.js';
import { quantizeEmbeddings } from './embedding-blocks.js';
import { entropyRange, emptyHistogram, count as countValues } from './histogram-ranges.js';
import { exampleOf, operatorsRun, quantizedOn, valuesOf } from './quantize-for-tests.js';
import { createRanges } from './quantization-ranges.js';
import { scaleOver } from './quantized-numbers.js';
import { quantizeWeights } from './quantize-weights.js';
import { writeQOperators } from './write-qoperators.js';

/*
 * The acceptance cases of quantization, by their numbers: what the tests of ONNX Runtime's tools expect. Cases 7 and 22
 * are vectors of those tools: weight-blocks.test.ts and static-vectors.test.ts.
 */

const onLayer = async () => {};
const operators = ({ graph }: Model, opType: string) => graph.nodes.filter((node) => node.opType === opType).length;
const scaled = (name: string, dims: number[]) => {
  const size = dims.reduce((a, b) => a * b, 1);
  return floatTensor(name, dims, numbers(size).map((value) => value / Math.sqrt(size / dims[0]!))); // prettier-ignore
};
const farthest = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

const i8 = { least: -127, greatest: 127 };
const u8 = { least: 0, greatest: 255 };

describe('scales and zero points', () => {
  const range = { min: -1, max: 2 };

  it('case 1: of −1 to 2 in symmetric i8 are 2/127 and 0', () =>
    expect(scaleOver(range, { ...i8, symmetric: true })).toEqual({ scale: Math.fround(4 / 254), zeroPoint: 0 }));

  it('case 2: of −1 to 2 in asymmetric i8 are 3/254 and −42', () =>
    expect(scaleOver(range, { ...i8, symmetric: false })).toEqual({ scale: Math.fround(3 / 254), zeroPoint: -42 }));

  it('case 3: of −1 to 2 in u8 are 4/255 and 128 symmetric, 3/255 and 85 asymmetric', () => {
    expect(scaleOver(range, { ...u8, symmetric: true })).toEqual({ scale: Math.fround(4 / 255), zeroPoint: 128 });
    expect(scaleOver(range, { ...u8, symmetric: false })).toEqual({ scale: Math.fround(3 / 255), zeroPoint: 85 });
  });

  it.each([true, false])(
    'case 4: of a range without width are 1 and 0, and real with a shortest range (symmetric %s)',
    (symmetric) => {
      const zero = { min: 0, max: 0 };
      expect(scaleOver(zero, { ...u8, symmetric })).toEqual({ scale: 1, zeroPoint: 0 });
      const { scale } = scaleOver(zero, { ...u8, symmetric }, 0.0001);
      expect(scale).toBeCloseTo((symmetric ? 2 : 1) * (0.0001 / 255), 10);
    },
  );
});

describe('a convolution of [1, 8, 33, 33] with [16, 8, 3, 3]', () => {
  const bias = floatTensor('b', [16], numbers(16));
  const example = exampleOf([1, 8, 33, 33]);
  const quantized = async (more: readonly Tensor[]) => {
    const inputs = ['input', 'w', ...more.map(({ name }) => name)];
    const net = modelOf(
      [8, 33, 33],
      [makeNode('Conv', inputs, ['y'])],
      [scaled('w', [16, 8, 3, 3]), ...more],
      [16, 31, 31],
    );
    return (await quantizedOn(example, net)).model;
  };

  it.each([
    [[bias], 4],
    [[], 3],
  ] as const)(
    'case 5: has 2 QuantizeLinear and 4 DequantizeLinear with a bias, 3 without (%#)',
    async (more, pairs) => {
      const model = await quantized(more);
      expect([operators(model, 'QuantizeLinear'), operators(model, 'DequantizeLinear')]).toEqual([2, pairs]);
    },
  );

  it.each([[[bias]], [[]]] as const)(
    'case 5: in operator form is 1 QuantizeLinear, 1 QLinearConv and 1 DequantizeLinear (%#)',
    async (more) => {
      const model = await quantized(more);
      writeQOperators(model);
      expect(model.graph.nodes.map(({ opType }) => opType).sort()).toEqual([
        'DequantizeLinear',
        'QLinearConv',
        'QuantizeLinear',
      ]);
    },
  );
});

describe('weights in blocks', () => {
  it('case 6: that four bits hold exactly are one MatMulNBits that answers as the floats do', async () => {
    const [k, n] = [52, 288];
    const steps = Float32Array.from({ length: k * n }, (_, i) => ((i * i) % 16) - 8);
    for (let at = 0; at < n; at++) steps[at] = steps[32 * n + at] = -8; // the end of the range is in every block
    const net = modelOf([k], [makeNode('MatMul', ['input', 'w'], ['y'])], [floatTensor('w', [k, n], steps)], [n]);
    // activations that eight bits hold exactly, too
    const data = Float32Array.from({ length: 4 * k }, (_, i) => (i % 13 === 0 ? 127 : (i * i) % 127));
    const example = { dims: [4, k], data };
    const model = cloneModel(net);
    await quantizeWeights(model, { bits: 4, block: 32, symmetric: true, method: 'nearest', onLayer });
    expect(model.graph.nodes.map(({ opType }) => opType)).toEqual(['MatMulNBits']);
    const [wanted, got] = [await valuesOf(net, example), await valuesOf(model, example)];
    expect(farthest(wanted.get('y')!, got.get('y')!)).toBeLessThan(1e-6 * 127 * 8 * k);
  });

  it('case 8: rows of a table of 545 by 228 are looked up within 0.2 of their size and 0.5', async () => {
    const table = floatTensor('table', [545, 228], numbers(545 * 228).map((value) => 4 * value)); // prettier-ignore
    const net = modelOf([], [makeNode('Gather', ['table', 'input'], ['y'])], [table], [228]);
    net.graph.inputs = [{ name: 'input', dataType: 'int64', shape: ['n'] }];
    const model = cloneModel(net);
    expect(quantizeEmbeddings(model, { block: 32, symmetric: false })).toBe(1);
    await using session = await openSession(writeOnnx(model), { providers: ['cpu'] });
    const rows = [0, 3, 100, 544];
    const got = (await session.run({ input: { dims: [4], data: BigInt64Array.from(rows, BigInt) } }))['y']!
      .data as Float32Array;
    const wanted = floatsOf(table);
    got.forEach((value, i) => {
      const exact = wanted[rows[Math.floor(i / 228)]! * 228 + (i % 228)]!;
      expect(Math.abs(value - exact)).toBeLessThanOrEqual(0.5 + 0.2 * Math.abs(exact));
    });
  });
});

/** Conv, Clip and MatMul. */
const clippedNet = modelOf(
  [1, 4, 4],
  [
    makeNode('Conv', ['input', 'w'], ['c'], { pads: attribute([1, 1, 1, 1]) }),
    makeNode('Clip', ['c', 'zero', 'six'], ['r']),
    makeNode('MatMul', ['r', 'm'], ['y']),
  ],
  [scaled('w', [3, 1, 3, 3]), scaled('m', [4, 5]), floatTensor('zero', [], [0]), floatTensor('six', [], [6])],
  [3, 4, 5],
);

const watching = (data: Float32Array, size: number) => ({
  binding: { input: 'input', exampleShape: [1, 4, 4], output: 'y' },
  examples: {
    inputs: (some: Uint32Array) => {
      const values = Float32Array.from([...some].flatMap((row) => [...data.subarray(row * size, (row + 1) * size)]));
      return { datatype: 'FP32' as const, shape: [some.length, 1, 4, 4], data: new Uint8Array(values.buffer) };
    },
  },
  some: Uint32Array.from({ length: data.length / size }, (_, i) => i),
  signal: new AbortController().signal,
  onProgress: async () => {},
});

describe('calibration', () => {
  const data = numbers(10 * 16).map((value) => 9 * value);

  it('case 9: adds three nodes and three outputs for each value, and finds what a look at all values finds', async () => {
    const tensors = ['input', 'c', 'r', 'y'];
    const { probe } = withExtremes(clippedNet, tensors);
    expect([probe.graph.nodes.length, probe.graph.outputs.length]).toEqual([3 + 3 * 4, 1 + 3 * 4]);

    const found = await calibrate(clippedNet, tensors, { ...watching(data, 16), method: 'minmax' });
    const seen = new Map<string, Float32Array>();
    const probed = cloneModel(clippedNet);
    probed.graph.outputs.push(...['c', 'r'].map((name) => ({ name, dataType: 'float', shape: undefined }) as const));
    await using session = await openSession(writeOnnx(probed), { providers: ['cpu'], graphOptimization: 'disabled' });
    const answers = await session.run({ input: { dims: [10, 1, 4, 4], data } });
    for (const name of tensors) seen.set(name, (answers[name]?.data ?? data) as Float32Array);
    for (const [name, values] of seen) {
      expect(found.get(name)).toEqual({ min: Math.min(...values), max: Math.max(...values) });
    }
  });

  it('case 9: has the range of each output channel of weights, which is symmetric', async () => {
    const { model } = await quantizedOn({ dims: [10, 1, 4, 4], data }, clippedNet);
    const weights = floatsOf(clippedNet.graph.initializers.get('w')!);
    const wanted = [0, 1, 2].map((channel) => {
      const largest = Math.max(...weights.subarray(9 * channel, 9 * channel + 9).map(Math.abs));
      return Math.fround(Math.fround(2 * largest) / 254);
    });
    expect([...floatsOf(model.graph.initializers.get('w_scale')!)]).toEqual(wanted);
    expect(intsOf(model.graph.initializers.get('w_zero_point')!)).toEqual([0, 0, 0]);
  });

  it.each([
    [NaN, 'NaN'],
    [Infinity, 'Infinity'],
    [-Infinity, '-Infinity'],
  ])('case 9: ends at %d among the examples, and names the value', async (odd, words) => {
    const some = Float32Array.from(data);
    some[37] = odd;
    await expect(calibrate(clippedNet, ['input'], { ...watching(some, 16), method: 'minmax' })).rejects.toThrow(
      `tensor 'input' became ${words} on the calibration examples, wants finite numbers`,
    );
  });

  it('case 10: has the same ranges however many outputs are kept together', async () => {
    const outputs = [-9, 1, 2, 12, -4, 7, 6, -3, 0, 3];
    for (let size = 1; size <= outputs.length; size++) {
      const ranges = createRanges('minmax');
      for (let at = 0; at < outputs.length; at += size) {
        const batch = Float32Array.from(outputs.slice(at, at + size));
        ranges.add('x', batch, batch.length);
      }
      expect((await ranges.finish()).get('x')).toEqual({ min: -9, max: 12 });
    }
  });

  it('case 11: by entropy of 2048 bins in 128 levels is narrower than the extremes, of 128 bins as wide', () => {
    const longTailed = Float32Array.from({ length: 50_000 }, (_, i) => Math.tan(((i + 0.5) / 50_000 - 0.5) * 3.13));
    const most = longTailed.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    const fine = emptyHistogram(-most, most);
    countValues(fine, longTailed);
    expect(entropyRange(fine).max).toBeLessThan(0.9 * most);
    const coarse = { low: -most, high: most, counts: new Float64Array(128) };
    countValues(coarse, longTailed);
    expect(entropyRange(coarse)).toMatchObject({ min: -most, max: most });
  });
});

describe('what lies between', () => {
  const chain = (least: number) =>
    modelOf(
      [2, 6, 6],
      [
        makeNode('Conv', ['input', 'w1'], ['c1']),
        makeNode('Clip', ['c1', 'least', 'six'], ['r1']),
        makeNode('Conv', ['r1', 'w2'], ['y']),
      ],
      [
        scaled('w1', [4, 2, 3, 3]),
        scaled('w2', [3, 4, 3, 3]),
        floatTensor('least', [], [least]),
        floatTensor('six', [], [6]),
      ],
      [3, 2, 2],
    );

  it('case 12: a Clip to 0 and 6 goes into the range of its output; one that eight bits cannot stand for stays', async () => {
    const example = exampleOf([4, 2, 6, 6]);
    const { model } = await quantizedOn(example, chain(0));
    expect(operators(model, 'Clip')).toBe(0);
    expect(intsOf(model.graph.initializers.get('r1_zero_point')!)).toEqual([0]);
    const kept = (await quantizedOn(example, chain(0.1))).model; // no range without 0
    expect(operators(kept, 'Clip')).toBe(1);
  });

  it('case 13: biases are 32-bit integers of scale s_in·s_w, and too large ones enlarge s_w', async () => {
    const net = (bias: readonly number[]) =>
      modelOf(
        [1, 4, 4],
        [makeNode('Conv', ['input', 'w', 'b'], ['y'])],
        [scaled('w', [2, 1, 3, 3]), floatTensor('b', [2], bias)],
        [2, 2, 2],
      );
    const scalesOf = async (bias: readonly number[]) => {
      const { model } = await quantizedOn(exampleOf([1, 1, 4, 4]), net(bias));
      const floats = (name: string) => [...floatsOf(model.graph.initializers.get(name)!)];
      expect(model.graph.initializers.get('b_quantized')!.dataType).toBe('int32');
      return {
        input: floats('input_scale')[0]!,
        weights: floats('w_scale'),
        bias: floats('b_quantized_scale'),
        steps: intsOf(model.graph.initializers.get('b_quantized')!),
      };
    };
    const usual = await scalesOf([0.5, -0.5]);
    expect(usual.bias).toEqual(usual.weights.map((scale) => Math.fround(usual.input * scale)));
    expect(usual.steps.map((step, i) => step * usual.bias[i]!)).toEqual([
      expect.closeTo(0.5, 4),
      expect.closeTo(-0.5, 4),
    ]);
    const large = await scalesOf([0.5, 1e6]);
    expect(large.weights[0]).toBe(usual.weights[0]);
    expect(large.weights[1]).toBeGreaterThan(usual.weights[1]!);
    expect(large.steps[1]).toBeLessThan(2 ** 31 - 1);
    expect(large.steps[1]! * large.bias[1]!).toBeCloseTo(1e6, 0);
  });
});

/** ResNet-50 (He et al. 2016) with an eighth of its channels. */
function narrowResNet50(): Model {
  const nodes: Node[] = [];
  const tensors: Tensor[] = [];
  const add = (opType: string, inputs: string[], attributes: Parameters<typeof makeNode>[3] = {}) => {
    const output = `v${nodes.length}`;
    nodes.push(makeNode(opType, inputs, [output], attributes));
    return output;
  };
  const constant = (dims: number[]) => {
    const tensor = scaled(`w${tensors.length}`, dims);
    tensors.push(tensor);
    return tensor.name;
  };
  const conv = (x: string, from: number, to: number, kernel: number, stride = 1) => {
    const pad = kernel >> 1;
    return add('Conv', [x, constant([to, from, kernel, kernel]), constant([to])], {
      pads: attribute([pad, pad, pad, pad]),
      strides: attribute([stride, stride]),
    });
  };
  const relu = (x: string) => add('Relu', [x]);
  const window = { kernel_shape: attribute([3, 3]), strides: attribute([2, 2]), pads: attribute([1, 1, 1, 1]) };
  let x = add('MaxPool', [relu(conv('input', 3, 8, 7, 2))], window);
  let channels = 8;
  for (const [stage, blocks] of [3, 4, 6, 3].entries()) {
    const width = 8 << stage;
    for (let block = 0; block < blocks; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const inner = relu(conv(relu(conv(x, channels, width, 1)), width, width, 3, stride));
      const shortcut = block === 0 ? conv(x, channels, 4 * width, 1, stride) : x;
      x = relu(add('Add', [conv(inner, width, 4 * width, 1), shortcut]));
      channels = 4 * width;
    }
  }
  add('Gemm', [add('Flatten', [add('GlobalAveragePool', [x])]), constant([channels, 10]), constant([10])]);
  return modelOf([3, 64, 64], nodes, tensors, [10]);
}

describe('as ONNX Runtime runs it', () => {
  it.each(['qdq', 'qoperator'])(
    'case 14: a ResNet-50 (%s) has 53 QLinearConv, 16 QLinearAdd, one way in and no float Conv',
    async (form) => {
      const { model, layers } = await quantizedOn(exampleOf([1, 3, 64, 64]), narrowResNet50());
      expect(layers).toBe(54);
      if (form === 'qoperator') writeQOperators(model);
      const run = await operatorsRun(model);
      expect(run).toMatchObject({ QLinearConv: 53, QLinearAdd: 16, QuantizeLinear: 1, QGemm: 1 });
      // QGemm gives floats itself where nothing follows it
      for (const name of ['Conv', 'FusedConv', 'Gemm', 'Add', 'Relu', 'DequantizeLinear'])
        expect(run).not.toHaveProperty(name);
    },
  );
});

describe('forms that make files small', () => {
  const size = 1024;
  const dense = (values: Float32Array) =>
    modelOf([size], [makeNode('MatMul', ['input', 'w'], ['y'])], [floatTensor('w', [size, size], values)], [size]);
  const example = exampleOf([8, size]);
  const bytes = (model: Model) => writeOnnx(model).length;
  const answer = async (model: Model) => (await valuesOf(readOnnx(writeOnnx(model)), example)).get('y')!;
  const expectSame = async (model: Model, exact: Model) => {
    const [wanted, got] = [await answer(exact), await answer(model)];
    expect(farthest(wanted, got)).toBeLessThanOrEqual(3e-6 * Math.max(1, ...wanted.map(Math.abs)));
  };

  it('case 21: sixteen values in four bits answer as written out, in an eighth of the bytes', async () => {
    const values = numbers(size * size).map((value) => value / 32);
    const model = dense(values);
    await shareWeights(model, { clusters: 16, start: 'density', onLayer });
    expect(bytes(model) / bytes(dense(values))).toBeLessThan(1 / 7.98);
    const { centroids, assigned } = await cluster(values, 16, {
      start: 'density',
      keepZeros: false,
      random: counterRandom(0n, 0),
    });
    await expectSame(model, dense(Float32Array.from(assigned, (k) => centroids[k]!)));
  });

  it('case 21: 95 % zeros are left out and answer as written out, in a tenth of the bytes', async () => {
    const values = numbers(size * size).map((value, i) => (i % 20 === 0 ? value / 32 : 0));
    const model = sparsify(dense(values));
    expect(model.graph.sparseInitializers.size).toBe(1);
    expect(bytes(model) / bytes(dense(values))).toBeLessThan(1 / 9.9);
    await expectSame(model, dense(values));
  });
});
