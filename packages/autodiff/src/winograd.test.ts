import { distances, nodesOf, usual } from './convolution-cases-for-tests.js';
import type { Case } from './convolution-cases-for-tests.js';

/** 64 places of 64 channels, the most and the fewest at which everything is done by minimal filtering. */
const bounds: Case = { ...usual, channels: 64, filters: 64 };

it.each<Partial<Case>>([
  {},
  { batch: 17, channels: 65, filters: 66, map: [5, 7] },
  { map: [6, 6], before: [0, 0], after: [0, 0] },
  { map: [6, 5], before: [2, 0], after: [1, 2] },
  { map: [4, 4], before: [2, 1], after: [2, 2] },
])('a convolution by minimal filtering of %j has the values and gradients of its definition', async (given) => {
  const of = { ...bounds, ...given };
  expect(turnsOf(of)).toEqual([1, 1, 1]);
  const { y, toX, toW } = await distances(of);
  expect(y).toBeLessThan(5e-5);
  expect(toX).toBeLessThan(5e-5);
  expect(toW).toBeLessThan(1e-4);
});

it.each<[string, Partial<Case>, readonly number[]]>([
  ['at every bound', {}, [1, 1, 1]],
  ['of 65 places', { map: [5, 13] }, [0, 0, 0]],
  ['of 16 places', { map: [4, 4] }, [1, 1, 1]],
  ['of 15 places', { map: [3, 5] }, [0, 0, 0]],
  // whose input's gradient is a convolution at 80 places
  ['of 48 places on a map of 80', { map: [8, 10], before: [0, 0], after: [0, 0] }, [1, 0, 1]],
  ['of 15 examples', { batch: 15 }, [0, 0, 0]],
  ['of 63 channels', { channels: 63 }, [0, 0, 0]],
  ['of 63 filters', { filters: 63 }, [0, 0, 0]],
  // whose weight has a gradient for each
  ['of 2 groups', { groups: 2, channels: 128, filters: 128 }, [0, 0, 2]],
  ['of another kernel', { kernel: [3, 2] }, [0, 0, 0]],
  ['of a stride', { map: [16, 8], strides: [2, 1] }, [0, 0, 0]],
  ['of a dilation', { map: [8, 8], dilations: [1, 2], before: [1, 2], after: [1, 2] }, [0, 0, 0]],
  ['of 2^24 numbers', { batch: 1024 }, [1, 1, 1]],
  ['of more numbers', { batch: 1025 }, [0, 0, 0]],
  ['whose weight has more', { map: [4, 4], channels: 1025, filters: 1024 }, [0, 0, 0]],
])('a convolution %s is by minimal filtering where that pays', (_, given, turns) => {
  expect(turnsOf({ ...bounds, ...given })).toEqual(turns);
});

/** It alone turns six axes: of tiles, and within them. */
const turnsOf = (of: Case) =>
  nodesOf(of, ({ opType, attributes }) => {
    const perm = attributes.get('perm');
    return opType === 'Transpose' && perm?.kind === 'ints' && perm.value.length === 6;
  });
