import { attribute, floatTensor, intTensor, makeNode, sparsify } from '@modelmill/onnx';
import { analyze } from './analyze.js';
import { modelOf, numbers, someCnn } from './models-for-tests.js';
import { prunableWeights, pruneMagnitude } from './prune/prune-magnitude.js';
import { weightFigures } from './weighted-layers.js';

describe('an analysis', () => {
  it('counts the parameters and multiply-adds of each layer', () => {
    const { layers } = analyze(someCnn());
    // 4 kernels of 9 weights and a bias at 64 places; 256 × 10 weights and 10 biases
    expect(layers).toMatchObject([
      { node: 'conv', opType: 'Conv', parameters: 40n, share: 40 / 2610, sparsity: 0, multiplyAdds: 2304n },
      { node: 'dense', opType: 'Gemm', parameters: 2570n, share: 2570 / 2610, sparsity: 0, multiplyAdds: 2560n },
    ]);
  });

  it('counts a grouped, strided convolution and a matrix product with its bias', () => {
    const model = modelOf(
      [4, 8, 8],
      [
        makeNode('Conv', ['input', 'k'], ['a'], { group: attribute(2), strides: attribute([2, 2]) }, 'grouped'),
        makeNode('GlobalAveragePool', ['a'], ['b']),
        makeNode('Flatten', ['b'], ['c']),
        makeNode('MatMul', ['c', 'w'], ['d'], {}, 'product'),
        makeNode('Add', ['d', 'bias'], ['y']),
      ],
      [
        floatTensor('k', [6, 2, 3, 3], numbers(108)),
        floatTensor('w', [6, 5], numbers(30)),
        floatTensor('bias', [5], numbers(5)),
      ],
      [5],
    );
    expect(analyze(model).layers).toMatchObject([
      { node: 'grouped', parameters: 108n, multiplyAdds: BigInt(6 * 3 * 3 * (2 * 3 * 3)) },
      { node: 'product', parameters: 35n, multiplyAdds: 30n },
    ]);
  });

  it('counts zeros alike whether the file leaves them out or not', () => {
    const dense = someCnn();
    pruneMagnitude(dense, [{ weights: prunableWeights(dense), sparsity: 0.8 }]);
    const sparse = sparsify(dense);
    expect(sparse.graph.sparseInitializers.size).toBeGreaterThan(0);
    expect(analyze(sparse)).toEqual(analyze(dense));
    expect(weightFigures(sparse)).toEqual({ parameters: 2610, sparsity: 2077 / 2596 });
  });

  it('counts quantized weights as what they stand for, and not their scales', () => {
    const model = modelOf(
      [3],
      [
        makeNode('DequantizeLinear', ['q', 'q_scale', 'q_zero'], ['w'], { axis: attribute(1) }),
        makeNode('MatMul', ['input', 'w'], ['a'], {}, 'product'),
        makeNode('QuantizeLinear', ['a', 'a_scale'], ['aq']),
        makeNode('DequantizeLinear', ['aq', 'a_scale'], ['ad']),
        makeNode('Add', ['ad', 'bias'], ['y']),
      ],
      [
        intTensor('q', 'int8', [3, 2], [0, 127, -5, 0, 0, 1]),
        floatTensor('q_scale', [2], [0.1, 0.2]),
        intTensor('q_zero', 'int8', [2], [0, 0]),
        floatTensor('a_scale', [], [0.5]),
        floatTensor('bias', [2], [1, 2]),
      ],
      [2],
    );
    expect(weightFigures(model)).toEqual({ parameters: 8, sparsity: 0.5 });
    expect(analyze(model)).toMatchObject({
      layers: [{ node: 'product', parameters: 8n, sparsity: 3 / 8 }],
      advice: ['It is quantized already: to prune or distill, start from the version it was made from.'],
    });
  });

  it('tells multiply-adds of 0 where shapes cannot be known', () => {
    const model = someCnn();
    model.graph.nodes.push(makeNode('Unheard', ['probabilities'], ['more']));
    expect(analyze(model).layers.map(({ multiplyAdds }) => multiplyAdds)).toEqual([0n, 0n]);
  });

  it('advises in plain words, the most useful first', () => {
    expect(analyze(someCnn()).advice).toEqual([
      'quantize_static stores 99 % of the weights in 8 bits instead of 32: about 10.2 KiB become 2.6 KiB, ' +
        'and convolutions and matrix products get faster.',
      'prune_magnitude to a sparsity of 0.8 takes about 10.2 KiB to 4.1 KiB; zeros save space, not time.',
      'dense holds 98 % of the weights: distill into a student that is narrower there.',
    ]);
    const pruned = someCnn();
    pruneMagnitude(pruned, [{ weights: prunableWeights(pruned), sparsity: 0.9 }]);
    expect(analyze(pruned).advice[1]).toBe('90 % of the weights are zero already: more pruning will cost accuracy.');
    expect(analyze(modelOf([1], [makeNode('Relu', ['input'], ['y'])], [], [1])).advice).toEqual([
      'No layer has weights: there is nothing to make smaller.',
    ]);
  });
});
