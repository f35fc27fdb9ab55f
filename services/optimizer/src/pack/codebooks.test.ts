import { counterRandom } from '@modelmill/data';
import { attribute, cloneModel, floatTensor, floatsOf, intsOf, makeNode, readOnnx, writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { modelOf, numbers } from '../models-for-tests.js';
import { exampleOf, valuesOf } from '../quantize/quantize-for-tests.js';
import { cluster } from './cluster.js';
import { takeTrained, writeCodebooks, writeTrainable } from './codebooks.js';
import { findCodebooks } from './share-weights.js';

const pruned = numbers(128 * 64).map((value, i) => (i % 3 === 0 ? value : 0));
const network = modelOf(
  [32],
  [
    makeNode('Gemm', ['input', 'dense', 'bias'], ['hidden']),
    makeNode('Gemm', ['hidden', 'sparse'], ['inner'], { transB: attribute(1) }),
    makeNode('Gemm', ['inner', 'none'], ['y']),
  ],
  [
    floatTensor('dense', [32, 128], numbers(32 * 128)),
    floatTensor('bias', [128], numbers(128)),
    floatTensor('sparse', [64, 128], pruned),
    floatTensor('none', [64, 4], new Float32Array(256)),
  ],
  [4],
);
const answers = async (model: Model) => (await valuesOf(model, exampleOf([5, 32]), ['inner'])).get('inner')!;
const found = (model: Model) =>
  findCodebooks(model, { clusters: 8, start: 'kmeans++', seed: 3n, onLayer: () => Promise.resolve() });

describe('codebooks', () => {
  it('answer the same packed and in the form that is trained, in which a zero that stays is no weight', async () => {
    const codebooks = await found(network);
    const [stored, trainable] = [cloneModel(network), cloneModel(network)];
    stored.opsets.set('', 21);
    stored.irVersion = 10;
    writeCodebooks(stored, codebooks, true);
    const names = writeTrainable(trainable, codebooks);
    expect(names).toEqual(['dense_values', 'sparse_values', undefined]); // all zeros: nothing to train
    expect(await answers(trainable)).toEqual(await answers(stored));
    expect(trainable.graph.initializers.get('dense_values')!.dims).toEqual([8]);
    expect(trainable.graph.initializers.get('sparse_values')!.dims).toEqual([7]);
  });

  it('take what was trained, and keep zeros where they were', async () => {
    const codebooks = await found(network);
    const model = cloneModel(network);
    const names = writeTrainable(model, codebooks);
    for (const name of names.filter((one) => one !== undefined)) {
      const { dims, ...tensor } = model.graph.initializers.get(name)!;
      model.graph.initializers.set(
        name,
        floatTensor(
          name,
          dims,
          floatsOf({ dims, ...tensor }).map((value) => value + 0.25),
        ),
      );
    }
    const trained = readOnnx(writeOnnx(model));
    const before = await answers(trained);
    trained.opsets.set('', 21);
    trained.irVersion = 10;
    const learned = takeTrained(trained, codebooks, names);
    writeCodebooks(trained, learned, false);
    expect(await answers(trained)).toEqual(before);
    const { graph } = readOnnx(writeOnnx(trained));
    expect([...graph.initializers.keys()].sort()).toEqual(
      ['bias', ...['dense', 'none', 'sparse'].flatMap((name) => [`${name}_codebook`, `${name}_indices`])].sort(),
    );
    const values = floatsOf(graph.initializers.get('sparse_codebook')!);
    const places = intsOf(graph.initializers.get('sparse_indices')!);
    expect(pruned.findIndex((value, i) => value === 0 && values[places[i]!] !== 0)).toBe(-1);
    expect(Math.max(...values)).toBeGreaterThan(Math.max(...codebooks[1]!.values));
  });
});

describe('a start drawn by distances', () => {
  const values = Float32Array.from({ length: 20_000 }, (_, i) => Math.sin(i) ** 5);
  const clustered = (seed: bigint, start: 'kmeans++' | 'linear' = 'kmeans++') =>
    cluster(values, 16, { start, keepZeros: false, random: counterRandom(seed, 0) });
  const errorOf = async (of: ReturnType<typeof clustered>) => {
    const { centroids, assigned } = await of;
    return values.reduce((sum, value, i) => sum + (value - centroids[assigned[i]!]!) ** 2, 0);
  };

  it('is the same for a seed, another for another, and no worse than twice an even one', async () => {
    expect(await clustered(1n)).toEqual(await clustered(1n));
    expect((await clustered(2n)).centroids).not.toEqual((await clustered(1n)).centroids);
    const even = await errorOf(clustered(1n, 'linear'));
    for (const seed of [1n, 2n, 3n]) expect(await errorOf(clustered(seed))).toBeLessThan(2 * even);
  });

  it('gives fewer centroids where there are fewer values', async () => {
    const two = Float32Array.from({ length: 100 }, (_, i) => (i % 2 ? 0.5 : -1));
    const { centroids } = await cluster(two, 16, { start: 'kmeans++', keepZeros: false, random: counterRandom(1n, 0) });
    expect([...centroids]).toEqual([-1, 0.5]);
  });
});
