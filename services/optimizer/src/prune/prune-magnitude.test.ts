import { floatTensor, floatsOf, makeNode } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { modelOf, someCnn } from '../models-for-tests.js';
import { prunableWeights, pruneMagnitude } from './prune-magnitude.js';
import { weightFigures } from '../weighted-layers.js';

const valuesOf = ({ graph }: Model, name: string) => [...floatsOf(graph.initializers.get(name)!)];
const matrices = (...weights: number[][]) =>
  modelOf(
    [1],
    weights.map((_, i) => makeNode('MatMul', [i === 0 ? 'input' : `y${i - 1}`, `w${i}`], [`y${i}`])),
    weights.map((values, i) => floatTensor(`w${i}`, [1, values.length], values)),
    [1],
  );

const pruneAll = (model: Model, sparsity: number) =>
  pruneMagnitude(model, [{ weights: prunableWeights(model), sparsity }]);

describe('magnitude pruning', () => {
  it.each([0.1, 0.5, 0.8, 0.999])(
    'keeps exactly round(n(1 − s)) of n weights at a sparsity of %f (case 17)',
    (sparsity) => {
      const model = someCnn();
      pruneAll(model, sparsity);
      const kept = ['kernels', 'matrix'].flatMap((name) => valuesOf(model, name)).filter((value) => value !== 0);
      expect(kept).toHaveLength(Math.round(2596 * (1 - sparsity)));
      expect(weightFigures(model).sparsity).toBeCloseTo(1 - kept.length / 2596, 12);
    },
  );

  it('keeps the largest of all layers together, as they were', () => {
    const before = someCnn();
    const all = ['kernels', 'matrix'].flatMap((name) => valuesOf(before, name));
    const largest = all.sort((a, b) => Math.abs(b) - Math.abs(a)).slice(0, 519);
    const model = someCnn();
    pruneAll(model, 0.8);
    const kept = ['kernels', 'matrix'].flatMap((name) => valuesOf(model, name)).filter((value) => value !== 0);
    expect(new Set(kept)).toEqual(new Set(largest));
  });

  it('takes the earlier of equal magnitudes, so that the count stays exact', () => {
    const model = matrices([1, -1, 2], [-1, 1, 0.5]);
    pruneAll(model, 0.5);
    expect([valuesOf(model, 'w0'), valuesOf(model, 'w1')]).toEqual([
      [0, 0, 2],
      [-1, 1, 0],
    ]);
  });

  it('keeps one weight whatever is asked (case 17)', () => {
    const model = matrices([3, 1, 2]);
    pruneAll(model, 0.999);
    expect(valuesOf(model, 'w0')).toEqual([3, 0, 0]);
  });

  it('leaves biases alone and prunes a weight that two layers share once', () => {
    const model = modelOf(
      [2],
      [makeNode('MatMul', ['input', 'w'], ['a']), makeNode('Gemm', ['a', 'w', 'b'], ['y'])],
      [floatTensor('w', [2, 2], [0.1, 4, 3, 2]), floatTensor('b', [2], [0.01, 0.02])],
      [2],
    );
    expect(prunableWeights(model)).toEqual(['w']);
    pruneAll(model, 0.5);
    expect(valuesOf(model, 'w')).toEqual([0, 4, 3, 0]);
    expect(valuesOf(model, 'b').map((value) => value.toFixed(2))).toEqual(['0.01', '0.02']);
  });
});
