import { floatTensor, makeNode } from '@modelmill/onnx';
import { leftovers } from './leftovers.js';
import { modelOf, numbers } from '../models-for-tests.js';
import { exampleOf, optimizedModel, quantizedOn } from './quantize-for-tests.js';

const network = modelOf(
  [12],
  [
    makeNode('MatMul', ['input', 'w1'], ['a']),
    makeNode('Add', ['a', 'b1'], ['b']),
    makeNode('Relu', ['b'], ['c']),
    makeNode('MatMul', ['c', 'w2'], ['d']),
    makeNode('Softmax', ['d'], ['y']),
  ],
  [floatTensor('w1', [12, 8], numbers(96)), floatTensor('b1', [8], numbers(8)), floatTensor('w2', [8, 4], numbers(32))],
  [4],
);

describe('leftovers', () => {
  it('are float products in a float model', async () =>
    expect(leftovers(await optimizedModel(network))).toEqual({
      pairs: 0,
      floatProducts: 2,
      integerProducts: 0,
    }));

  it('are none but the way in where a model was quantized whole', async () => {
    const { model } = await quantizedOn(exampleOf([4, 12]), network);
    expect(leftovers(await optimizedModel(model))).toEqual({
      pairs: 1,
      floatProducts: 0,
      integerProducts: 2,
    });
  });

  it('are all that was quantized where nothing was optimized', async () => {
    const { model } = await quantizedOn(exampleOf([4, 12]), network);
    expect(leftovers(model)).toMatchObject({ floatProducts: 2, integerProducts: 0 });
    expect(leftovers(model).pairs).toBeGreaterThan(4);
  });
});
