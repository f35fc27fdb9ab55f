import { counterRandom } from '@modelmill/data';
import {
  attribute,
  cloneModel,
  floatAttribute,
  floatTensor,
  intsOf,
  makeNode,
  readOnnx,
  writeOnnx,
} from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { cluster } from './cluster.js';
import { modelOf, numbers } from '../models-for-tests.js';
import { exampleOf, fidelity, operatorsRun, valuesOf } from '../quantize/quantize-for-tests.js';
import { quantizeDynamic } from '../quantize/quantize-dynamic.js';
import { quantizeWeights } from '../quantize/quantize-weights.js';
import { shareWeights, storeHalves } from './share-weights.js';
import { storeBytes } from './store-bytes.js';

const spread = (name: string, dims: [number, number]) =>
  floatTensor(
    name,
    dims,
    numbers(dims[0] * dims[1]).map((value) => value / 8),
  );

/** Every form a product with a constant matrix has. */
const network = (): Model =>
  modelOf(
    [96],
    [
      makeNode('Gemm', ['input', 'first', 'row'], ['a'], {
        transB: attribute(1),
        alpha: floatAttribute(0.5),
        beta: floatAttribute(2),
      }),
      makeNode('Relu', ['a'], ['b']),
      makeNode('MatMul', ['b', 'second'], ['c']),
      makeNode('MatMul', ['b', 'second'], ['again']),
      makeNode('Add', ['c', 'again'], ['d']),
      makeNode('Gemm', ['d', 'third', 'one'], ['y']),
    ],
    [
      spread('first', [128, 96]),
      floatTensor('row', [128], numbers(128)),
      spread('second', [128, 112]),
      spread('third', [112, 64]),
      floatTensor('one', [1], [0.25]),
    ],
    [64],
  );
const example = exampleOf([4, 96]);
const bytes = (model: Model) => writeOnnx(model).length;
const onLayer = async () => {};

async function without(model: Model, graphOptimization: 'disabled' | 'all') {
  await using session = await openSession(writeOnnx(model), { providers: ['cpu'], graphOptimization });
  return (await session.run({ input: example }))['y']!.data as Float32Array;
}

async function expectSameOptimizedOrNot(model: Model, places: number): Promise<void> {
  const [plain, optimized] = [await without(model, 'disabled'), await without(model, 'all')];
  plain.forEach((value, i) => expect(optimized[i]).toBeCloseTo(value, places));
}

describe('shared weights', () => {
  const random = counterRandom(1n, 0);
  const shared = async (clusters: number, model = network()) => {
    const layers = await shareWeights(model, { clusters, start: 'density', onLayer });
    return { model: readOnnx(writeOnnx(model)), layers };
  };

  it.each([
    [16, 'uint4', 0.14],
    [256, 'uint8', 0.29],
  ])('by %i are looked up from %s indices in a file of less than %d of the size', async (clusters, type, share) => {
    const { model, layers } = await shared(clusters);
    expect(layers).toBe(3);
    expect(model.graph.initializers.get('second_indices')!.dataType).toBe(type);
    expect(bytes(model)).toBeLessThan(share * bytes(network()));
    await expectSameOptimizedOrNot(model, 5);
  });

  it('answer as the same weights stored one by one', async () => {
    const { model } = await shared(16);
    const dense = network();
    for (const name of ['first', 'second', 'third']) {
      const { dims, bytes: raw } = dense.graph.initializers.get(name)!;
      const values = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength));
      const { centroids, assigned } = await cluster(values, 16, { start: 'density', keepZeros: false, random });
      const snapped = Float32Array.from(assigned, (k) => centroids[k]!);
      dense.graph.initializers.set(name, floatTensor(name, dims, snapped));
    }
    const [wanted, got] = [await valuesOf(dense, example), await valuesOf(model, example)];
    wanted.get('y')!.forEach((value, i) => expect(got.get('y')![i]).toBeCloseTo(value, 4));
  });

  it('keep the zeros of a pruned matrix', async () => {
    const pruned = Float32Array.from({ length: 4000 }, (_, i) => (i % 3 ? 0 : Math.sin(i)));
    const { centroids, assigned } = await cluster(pruned, 16, { start: 'density', keepZeros: true, random });
    expect(centroids).toContain(0);
    expect(centroids.length).toBeLessThanOrEqual(16);
    expect(pruned.findIndex((value, i) => value === 0 && centroids[assigned[i]!] !== 0)).toBe(-1);
  });

  it.each(['density', 'linear', 'kmeans++'] as const)(
    'lie nearest to their weights, from a %s start',
    async (start) => {
      const values = Float32Array.from({ length: 5000 }, (_, i) => Math.sin(i) ** 3);
      const { centroids, assigned } = await cluster(values, 16, { start, keepZeros: false, random });
      const off = values.map((value, i) => Math.abs(value - centroids[assigned[i]!]!));
      values.forEach((value, i) => {
        const nearest = Math.min(...centroids.map((centroid) => Math.abs(value - centroid)));
        expect(off[i]).toBeCloseTo(nearest, 6);
      });
      for (let k = 0; k < centroids.length; k++) {
        const own = values.filter((_, i) => assigned[i] === k);
        expect(centroids[k]).toBeCloseTo(own.reduce((sum, value) => sum + value, 0) / own.length, 2);
      }
    },
  );
});

describe('stored halves', () => {
  it('take half the bytes and three decimals', async () => {
    const model = network();
    expect(storeHalves(model)).toBe(4);
    expect(bytes(model)).toBeLessThan(0.52 * bytes(network()));
    expect(await fidelity(network(), model, example)).toBeGreaterThan(60);
    await expectSameOptimizedOrNot(model, 5);
  });
});

describe('weights in few bits', () => {
  const inBlocks = async (bits: 4 | 8, more: { symmetric?: boolean; method?: 'nearest' | 'hqq' } = {}) => {
    const model = network();
    const options = { bits, block: 32, symmetric: true, method: 'nearest', onLayer, ...more } as const;
    return { model, layers: await quantizeWeights(model, options) };
  };

  it.each([
    [8, {}, 30, 0.32],
    [8, { symmetric: false }, 30, 0.32],
    [4, {}, 10, 0.2],
    [4, { symmetric: false }, 10, 0.2],
    [4, { symmetric: false, method: 'hqq' }, 10, 0.22],
  ] as const)('of %i (%o) answer with %i dB in %d of the size', async (bits, more, decibels, share) => {
    const { model, layers } = await inBlocks(bits, more);
    expect(layers).toBe(4);
    expect(bytes(model)).toBeLessThan(share * bytes(network()));
    expect(await fidelity(network(), model, example)).toBeGreaterThan(decibels);
    expect(await operatorsRun(model)).toMatchObject({ MatMulNBits: 4 });
    await expectSameOptimizedOrNot(model, 3); // activations are rounded to eight bits, too
  });

  it('leave matrices of less than a block as they are', async () => {
    const model = network();
    expect(await quantizeWeights(model, { bits: 4, block: 128, symmetric: true, method: 'nearest', onLayer })).toBe(2);
    expect(model.graph.nodes.map(({ opType }) => opType)).toEqual([
      'Gemm',
      'Relu',
      'MatMulNBits',
      'MatMulNBits',
      'Add',
      'Gemm',
    ]);
  });
});

describe('weights stored in bytes', () => {
  it('take a quarter of the size and are computed with as floats', async () => {
    const model = network();
    expect(storeBytes(model)).toBe(3);
    expect(bytes(model)).toBeLessThan(0.28 * bytes(network()));
    expect(await fidelity(network(), model, example)).toBeGreaterThan(38);
    const run = await operatorsRun(model);
    expect(Object.keys(run).filter((name) => /Integer|NBits|Quantize/.test(name))).toEqual([]);
    await expectSameOptimizedOrNot(model, 5);
  });
});

describe('dynamic quantization', () => {
  it('reduced keeps every sum of two products within 16 bits', () => {
    const model = network();
    quantizeDynamic(model, { reduced: true });
    const weights = [...model.graph.initializers.values()].filter(({ dataType }) => dataType === 'int8');
    const largest = Math.max(...weights.flatMap((tensor) => [...intsOf(tensor)].map(Math.abs)));
    expect(largest).toBe(64);
    expect(2 * 255 * largest).toBeLessThan(2 ** 15);
  });

  it('multiplies in integers, with 25 dB and a third of the size', async () => {
    const model = network();
    expect(quantizeDynamic(model)).toBe(4);
    expect(bytes(model)).toBeLessThan(0.3 * bytes(network()));
    expect(await fidelity(network(), model, example)).toBeGreaterThan(25);
    const run = await operatorsRun(model);
    // the two products of the same operands are made once
    expect((run['DynamicQuantizeMatMul'] ?? 0) + (run['MatMulIntegerToFloat'] ?? 0)).toBe(3);
    expect(run).not.toHaveProperty('Gemm');
    await expectSameOptimizedOrNot(model, 4);
  });

  it('leaves convolutions alone', () => {
    const model = modelOf(
      [3, 5, 5],
      [makeNode('Conv', ['input', 'w'], ['y'])],
      [floatTensor('w', [2, 3, 3, 3], numbers(54))],
      [2, 3, 3],
    );
    const before = writeOnnx(cloneModel(model));
    expect(quantizeDynamic(model)).toBe(0);
    expect(writeOnnx(model)).toEqual(before);
  });
});
