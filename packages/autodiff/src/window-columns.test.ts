import { distances, nodesOf, usual } from './convolution-cases-for-tests.js';
import type { Case } from './convolution-cases-for-tests.js';

/** Of which values columns are gathered: the convolution, the gradients of its input and its weight. */
type Gathers = readonly [y: number, toX: number, toW: number];

it.each<[Partial<Case>, Gathers]>([
  [{ batch: 17, filters: 17, map: [5, 7] }, [1, 1, 1]],
  [{ channels: 17, map: [6, 5], kernel: [2, 3], before: [1, 0], after: [0, 2] }, [1, 1, 1]],
  [{ map: [7, 8], kernel: [3, 2], dilations: [2, 3], before: [3, 0], after: [1, 2] }, [1, 1, 1]],
  [{ map: [9, 6], kernel: [2, 3], strides: [2, 1], before: [1, 2], after: [0, 1] }, [1, 0, 1]],
  [{ map: [10, 11], strides: [1, 3], dilations: [3, 1], before: [2, 0], after: [1, 2] }, [1, 0, 1]],
  [{ map: [9, 11], kernel: [2, 3], before: [0, 0], after: [0, 0] }, [0, 0, 1]],
])('a convolution by columns of %j has the values and gradients of its definition', async (given, gathers) => {
  const of = { ...usual, ...given };
  expect(gathersOf(of)).toEqual(gathers);
  const { y, toX, toW } = await distances(of);
  expect(y).toBeLessThan(1e-4);
  expect(toX).toBeLessThan(1e-4);
  expect(toW).toBeLessThan(2e-4);
});

it.each<[string, Partial<Case>, Gathers]>([
  ['at every bound', {}, [1, 1, 1]],
  ['of 65 places', { map: [5, 13] }, [0, 0, 1]],
  ['of 256 places', { map: [16, 16] }, [0, 0, 1]],
  ['of 257 places', { map: [1, 257] }, [0, 0, 0]],
  ['of 64 places on a map of 80', { map: [10, 8], before: [0, 1], after: [0, 2] }, [1, 0, 1]],
  ['of 15 examples', { batch: 15 }, [0, 0, 0]],
  // whose weight has a gradient for each
  ['of 2 groups', { groups: 2, channels: 32, filters: 32 }, [0, 0, 2]],
  ['of 15 channels', { channels: 15 }, [0, 0, 0]],
  ['of 15 filters', { filters: 15 }, [0, 0, 1]],
  ['of one tap', { kernel: [1, 1], before: [0, 0], after: [0, 0] }, [0, 0, 0]],
  ['of 2^24 numbers', { batch: 1024, kernel: [4, 4], before: [2, 1], after: [1, 2] }, [1, 1, 1]],
  ['of more numbers', { batch: 1025, kernel: [4, 4], before: [2, 1], after: [1, 2] }, [0, 0, 0]],
])('a convolution %s is by columns where they pay', (_, given, gathers) => {
  expect(gathersOf({ ...usual, ...given })).toEqual(gathers);
});

const gathersOf = (of: Case) => nodesOf(of, ({ opType }) => opType === 'Gather');
