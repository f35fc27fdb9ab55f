import { buildLayers } from './build-layers.js';
import { emit } from './emit.js';
import { hiddenMatrices } from './hidden-matrices.js';
import type { LayerSpec } from './layer-spec.js';
import { gemm, matMul, transposeLast } from './ops.js';
import { orthogonalized } from './orthogonalized.js';
import { readGraph } from './read-graph.js';
import { numbers, runnable } from './run-for-tests.js';
import { input } from './value.js';

function hiddenOf(layers: readonly LayerSpec[], featureShape: readonly number[]) {
  const random = (stream: number, count: number) => numbers(count, { low: 0, high: 1, seed: stream + 1 });
  const { forward } = buildLayers(layers, { featureShape, random, name: 'net' });
  const { output, weights } = readGraph(forward, 2, featureShape);
  const hidden = hiddenMatrices(output);
  return [...weights].flatMap(([name, weight]) => (hidden.has(weight) ? [`${name}: ${hidden.get(weight)}`] : []));
}

describe('the matrices of hidden layers', () => {
  it('of a convolutional network are its kernels and dense layers, without the last one', () => {
    const layers: LayerSpec[] = [
      { kind: 'conv2d', filters: 4, kernel: [3, 3], stride: [1, 1], padding: 'same', groups: 1, activation: 'relu' },
      { kind: 'batch_norm', momentum: 0.9, epsilon: 1e-5 },
      { kind: 'flatten' },
      { kind: 'dense', units: 8, activation: 'tanh' },
      { kind: 'dense', units: 3 },
    ];
    expect(hiddenOf(layers, [1, 6, 6])).toEqual(['layer0.weight: outputs first', 'layer3.weight: inputs first']);
  });

  it('of a language model are those of its blocks, not what looks tokens and places up', () => {
    const block = { kind: 'transformer_block', heads: 2, causal: true, mlpRatio: 2, activation: 'gelu', dropout: 0 };
    const layers = [
      { kind: 'embedding', vocabulary: 11, width: 8 },
      { kind: 'position_embedding' },
      block,
    ] as LayerSpec[];
    const ofBlock = ['attention.qkv', 'attention.projection', 'mlp.hidden', 'mlp.projection'];
    const wanted = ofBlock.map((name) => `layer2.${name}.weight: inputs first`);
    expect(hiddenOf([...layers, { kind: 'dense', units: 11 }], [5])).toEqual(wanted);
    expect(hiddenOf([...layers, { kind: 'tied_head' }], [5])).toEqual(wanted);
  });

  it('of a recurrent network are none of its stacked weights and biases', () => {
    const layers = [
      { kind: 'embedding', vocabulary: 11, width: 8 },
      { kind: 'lstm', units: 4, bidirectional: false, sequences: false },
      { kind: 'dense', units: 6 },
      { kind: 'dense', units: 2 },
    ] as LayerSpec[];
    expect(hiddenOf(layers, [5])).toEqual(['layer2.weight: inputs first']);
  });

  it('lie as the product and its transpositions take them', () => {
    const [x, a, b, last] = [input('x', [2, 4]), input('a', [5, 4]), input('b', [6, 5]), input('last', [6, 1])];
    const hidden = hiddenMatrices(matMul(matMul(gemm(x, a, false, true), transposeLast(b)), last));
    expect([hidden.get(a), hidden.get(b), hidden.get(last)]).toEqual(['outputs first', 'outputs first', undefined]);
  });
});

describe('an orthogonalized matrix', () => {
  it.each([
    ['outputs first', [3, 5], 1],
    ['outputs first', [5, 3], Math.sqrt(5 / 3)],
    ['inputs first', [3, 5], Math.sqrt(5 / 3)],
    ['inputs first', [5, 3], 1],
  ] as const)('of %s, [%s], stretches every direction about %f times', async (layout, shape, scale) => {
    const u = input('u', shape);
    const x = orthogonalized(u, layout);
    const square = shape[0] < shape[1] ? matMul(x, transposeLast(x)) : matMul(transposeLast(x), x);
    const run = await runnable(emit({ name: 'muon', inputs: [u], outputs: new Map([['square', square]]) }));
    const { square: got } = await run({ u: { dims: shape, data: numbers(15) } });
    // its eigenvalues are the squares of the singular values; their sum and that of their squares bound them
    const trace = [0, 4, 8].reduce((sum, i) => sum + got![i]!, 0) / scale ** 2;
    expect(trace / 3).toBeGreaterThan(0.6);
    expect(trace / 3).toBeLessThan(1.4);
    const frobenius = got!.reduce((sum, value) => sum + value * value, 0) / scale ** 4;
    expect(frobenius - trace ** 2 / 3).toBeLessThan(0.5);
  });
});
