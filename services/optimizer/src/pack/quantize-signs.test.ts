import { attribute, checkAdmission, cloneModel, floatTensor, makeNode, readOnnx, writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { modelOf, numbers } from '../models-for-tests.js';
import { exampleOf, operatorsRun, valuesOf } from '../quantize/quantize-for-tests.js';
import { isQuantized, weightFigures } from '../weighted-layers.js';
import { packedSigns, signTable } from './sign-tables.js';
import { quantizeSigns } from './quantize-signs.js';
import { signsOf, signValues } from './signs.js';

/** Numbers of a normal distribution (Box and Muller 1958), the same every time. */
function gaussian(count: number): Float32Array {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

function decibels(exact: Float32Array, rounded: (i: number) => number): number {
  let [signal, noise] = [0, 0];
  for (let i = 0; i < exact.length; i++) {
    signal += exact[i]! ** 2;
    noise += (exact[i]! - rounded(i)) ** 2;
  }
  return 10 * Math.log10(signal / noise);
}

describe('signs of weights', () => {
  it.each([
    ['ternary', 7.2, 0.42],
    ['binary', 4.4, 0],
  ] as const)('%s have %d dB of a million normal numbers, with %d zeros', (kind, wanted, zeros) => {
    const values = gaussian(1_000_000);
    const { signs, scales } = signsOf({ values, dims: [1, values.length], axis: 0 }, kind);
    expect(decibels(values, (i) => signs[i]! * scales[0]!)).toBeCloseTo(wanted, 1);
    expect(signs.filter((sign) => sign === 0).length / signs.length).toBeCloseTo(zeros, 2);
  });

  it('have the scales of the papers, channel by channel', () => {
    const weights = { values: Float32Array.of(4, -2, 0.5, 0, 1, -1, 0, -3), dims: [2, 4], axis: 0 };
    // of the first channel the mean magnitude is 1.625 and Δ 1.1375, of the second 1.25 and 0.875
    expect(signsOf(weights, 'ternary')).toEqual({
      signs: Int8Array.of(1, -1, 0, 0, 1, -1, 0, -1),
      scales: Float32Array.of(3, 5 / 3),
    });
    expect(signsOf(weights, 'binary')).toEqual({
      signs: Int8Array.of(1, -1, 1, 1, 1, -1, 1, -1),
      scales: Float32Array.of(1.625, 1.25),
    });
    expect(signsOf({ values: new Float32Array(3), dims: [3, 1], axis: 0 }, 'ternary').scales).toEqual(
      new Float32Array(3),
    );
  });

  it.each(signValues)('are what the table says of their bytes (%s)', (kind) => {
    const perByte = kind === 'ternary' ? 5 : 8;
    const signs = Int8Array.from({ length: 1003 }, (_, i) => (kind === 'binary' ? (i * i) % 7 > 2 ? 1 : -1 : ((i * i) % 3) - 1)); // prettier-ignore
    const table = signTable(kind);
    const bytes = packedSigns(signs, kind);
    expect(bytes.length).toBe(Math.ceil(1003 / perByte));
    signs.forEach((sign, i) => expect(table[bytes[Math.floor(i / perByte)]! * perByte + (i % perByte)]).toBe(sign));
  });
});

const network = (): Model =>
  modelOf(
    [3, 8, 8],
    [
      makeNode('Conv', ['input', 'first'], ['a']),
      makeNode('Relu', ['a'], ['b']),
      makeNode('Conv', ['b', 'kernels', 'bias'], ['c'], { group: attribute(2) }),
      makeNode('Flatten', ['c'], ['d']),
      makeNode('Gemm', ['d', 'turned', 'row'], ['e'], { transB: attribute(1) }),
      makeNode('MatMul', ['e', 'matrix'], ['f']),
      makeNode('MatMul', ['f', 'last'], ['y']),
    ],
    [
      floatTensor('first', [8, 3, 3, 3], numbers(216)),
      floatTensor('kernels', [64, 4, 3, 3], numbers(2304)),
      floatTensor('bias', [64], numbers(64)),
      floatTensor('turned', [101, 1024], numbers(101 * 1024)),
      floatTensor('row', [101], numbers(101)),
      floatTensor('matrix', [101, 77], numbers(101 * 77)),
      floatTensor('last', [77, 10], numbers(770)),
    ],
    [10],
  );
const example = exampleOf([4, 3, 8, 8]);
const onLayer = async () => {};
const bytes = (model: Model) => writeOnnx(model).length;

/** The same network with the weights that signs stand for, written out. */
function dense(kind: (typeof signValues)[number]): Model {
  const model = network();
  const axes = { kernels: 0, turned: 0, matrix: 1 };
  for (const [name, axis] of Object.entries(axes)) {
    const { dims, bytes: raw } = model.graph.initializers.get(name)!;
    const values = new Float32Array(new Uint8Array(raw).buffer);
    const { signs, scales } = signsOf({ values, dims, axis }, kind);
    const channelOf = (i: number) => (axis === 0 ? Math.floor(i / (values.length / dims[0]!)) : i % dims[1]!);
    model.graph.initializers.set(name, floatTensor(name, dims, Float32Array.from(signs, (sign, i) => sign * scales[channelOf(i)]!))); // prettier-ignore
  }
  return model;
}

async function answer(model: Model, graphOptimization: 'disabled' | 'all'): Promise<Float32Array> {
  await using session = await openSession(writeOnnx(model), { providers: ['cpu'], graphOptimization });
  return (await session.run({ input: example }))['y']!.data as Float32Array;
}

const largest = (values: Float32Array) => Math.max(...values.map(Math.abs));

describe('weights of few values', () => {
  it.each([
    ['ternary', 1.6],
    ['binary', 1],
  ] as const)('%s take %d bits each in tables, and answer as if written out', async (values, bits) => {
    const model = network();
    expect(await quantizeSigns(model, { values, allLayers: false, blocks: false, onLayer })).toEqual({
      tables: 3,
      blocks: 0,
    });
    const read = readOnnx(writeOnnx(model));
    const weights = 2304 + 101 * 1024 + 101 * 77;
    const rest = bytes(network()) - 4 * weights;
    expect(bytes(read)).toBeLessThan(rest + (weights * bits) / 8 + 5000); // the table takes 1.2 or 2 KB
    const wanted = await answer(dense(values), 'disabled');
    for (const optimization of ['disabled', 'all'] as const) {
      const got = await answer(read, optimization);
      expect(largest(wanted.map((value, i) => value - got[i]!))).toBeLessThan(3e-6 * largest(wanted));
    }
    // looked up once, at load
    const run = await operatorsRun(read);
    for (const name of ['Gather', 'Cast', 'Slice', 'Mul']) expect(run).not.toHaveProperty(name);
    expect(weightFigures(read)).toEqual(weightFigures(dense(values)));
    expect(isQuantized(read)).toBe(true);
    expect(() => checkAdmission(writeOnnx(read))).not.toThrow();
  });

  it.each(signValues)('%s compute in 2 bits where matrices are in blocks', async (values) => {
    const model = network();
    expect(await quantizeSigns(model, { values, allLayers: false, blocks: true, onLayer })).toEqual({
      tables: 1,
      blocks: 2,
    });
    expect(await operatorsRun(model)).toMatchObject({ MatMulNBits: 2 });
    expect(() => checkAdmission(writeOnnx(model))).not.toThrow();
    const [wanted, got] = [(await valuesOf(dense(values), example)).get('y')!, await answer(model, 'all')];
    expect(decibels(wanted, (i) => got[i]!)).toBeGreaterThan(30); // activations are rounded to eight bits
  });

  it('keep the first and the last layer, or take them along', async () => {
    const model = network();
    await quantizeSigns(model, { values: 'ternary', allLayers: true, blocks: false, onLayer });
    expect([...model.graph.initializers.keys()].filter((name) => name.endsWith('_bytes'))).toHaveLength(5);
    const two = modelOf(
      [64],
      [makeNode('MatMul', ['input', 'm1'], ['a']), makeNode('MatMul', ['a', 'm2'], ['y'])],
      [floatTensor('m1', [64, 64], numbers(4096)), floatTensor('m2', [64, 10], numbers(640))],
      [10],
    );
    const before = writeOnnx(cloneModel(two));
    expect(await quantizeSigns(two, { values: 'binary', allLayers: false, blocks: false, onLayer })).toEqual({
      tables: 0,
      blocks: 0,
    });
    expect(writeOnnx(two)).toEqual(before);
  });
});
