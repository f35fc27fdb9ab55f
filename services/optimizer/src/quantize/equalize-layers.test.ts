import { attribute, cloneModel, floatTensor, floatsOf, makeNode } from '@modelmill/onnx';
import { equalizeLayers } from './equalize-layers.js';
import { modelOf, numbers } from '../models-for-tests.js';
import { exampleOf, fidelity } from './quantize-for-tests.js';

/** Expansion, depthwise convolution and projection, with channels of very different sizes. */
const network = modelOf(
  [4, 6, 6],
  [
    makeNode('Conv', ['input', 'w1', 'b1'], ['a']),
    makeNode('Relu', ['a'], ['b']),
    makeNode('Conv', ['b', 'w2', 'b2'], ['c'], { group: attribute(6) }),
    makeNode('Conv', ['c', 'w3'], ['y']),
  ],
  [
    floatTensor('w1', [6, 4, 1, 1], numbers(24).map((value, i) => value * 4 ** (Math.floor(i / 4) - 3))), // prettier-ignore
    floatTensor('b1', [6], numbers(6)),
    floatTensor('w2', [6, 1, 3, 3], numbers(54)),
    floatTensor('b2', [6], numbers(6)),
    floatTensor('w3', [5, 6, 1, 1], numbers(30)),
  ],
  [5, 4, 4],
);

describe('cross-layer equalization', () => {
  it('makes channels of layers alike and answers the same', async () => {
    const model = cloneModel(network);
    expect(equalizeLayers(model)).toBe(2);
    expect(await fidelity(network, model, exampleOf([3, 4, 6, 6]))).toBeGreaterThan(110);
    const largest = (from: typeof model) => {
      const values = floatsOf(from.graph.initializers.get('w1')!);
      return [0, 1, 2, 3, 4, 5].map((c) => Math.max(...values.subarray(4 * c, 4 * c + 4).map(Math.abs)));
    };
    const spread = (values: number[]) => Math.max(...values) / Math.min(...values);
    expect(spread(largest(model))).toBeLessThan(spread(largest(network)) / 10);
  });

  it('leaves alone what others read', () => {
    const model = cloneModel(network);
    model.graph.outputs.push({ name: 'b', dataType: 'float', shape: undefined });
    expect(equalizeLayers(model)).toBe(1);
  });
});
