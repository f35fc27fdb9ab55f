import { distances, nodesOf, usual } from './convolution-cases-for-tests.js';
import type { Case } from './convolution-cases-for-tests.js';

/** Strided, without columns, and whether it is padded unevenly. */
it.each<[Partial<Case>, boolean]>([
  [{ map: [9, 9], kernel: [3, 3], strides: [2, 2], after: [1, 1] }, false],
  [{ map: [8, 8], kernel: [3, 3], strides: [2, 2], after: [1, 1] }, true],
  [{ map: [8, 7], kernel: [1, 1], strides: [2, 2], before: [0, 0], after: [0, 0] }, true],
  [{ map: [10, 11], strides: [1, 3], dilations: [3, 1], before: [2, 0], after: [1, 2] }, true],
  [{ map: [9, 6], kernel: [2, 3], strides: [4, 1], before: [1, 2], after: [0, 1] }, true],
])('the gradient of a convolution of %j on a GPU is by a ConvTranspose of even pads', async (given, isUneven) => {
  const of = { ...usual, ...given };
  const isPadded = [
    ...nodesOf(of, ({ opType, attributes }) => opType === 'ConvTranspose' && attributes.has('pads'), false),
  ];
  expect(isPadded).toEqual([0, isUneven ? 0 : 1, 0]);
  const { toX, toW } = await distances(of, false);
  expect(toX).toBeLessThan(1e-4);
  expect(toW).toBeLessThan(2e-4);
});
