import { distances, nodesOf, usual } from './convolution-cases-for-tests.js';
import type { Case } from './convolution-cases-for-tests.js';

/** 64 places of 32 channels, the fewest at which everything is done by minimal filtering. */
const bounds: Case = { ...usual, kernel: [3, 3], after: [1, 1], channels: 32, filters: 32 };
const narrow: Case = { ...bounds, channels: 16, filters: 16 };

it.each<[Partial<Case>, number]>([
  [{}, 1],
  [{ batch: 17, channels: 65, filters: 66, map: [5, 8] }, 1],
  [{ map: [6, 6] }, 0.3],
  [{ batch: 17, channels: 65, filters: 66, map: [5, 7] }, 0.3],
  [{ map: [6, 6], before: [0, 0], after: [0, 0] }, 0.3],
  [{ map: [6, 5], before: [2, 0], after: [1, 2] }, 1],
  [{ map: [9, 7], before: [1, 2], after: [0, 1] }, 1],
  [{ map: [16, 13], before: [2, 1], after: [0, 1] }, 1],
  [{ channels: 64, filters: 64, map: [8, 9], batch: 64 }, 1],
  [{ map: [4, 4], before: [2, 1], after: [2, 2] }, 0.3],
])('a convolution by minimal filtering of %j has the values and gradients of its definition', async (given, share) => {
  const of = { ...bounds, ...given };
  expect(turnsOf(of)).toEqual([1, 1, 1]);
  const { y, toX, toW } = await distances(of);
  expect(y).toBeLessThan(share * 1e-4);
  expect(toX).toBeLessThan(share * 1e-4);
  expect(toW).toBeLessThan(share * 3e-4);
});

it.each<[Partial<Case>, number, number]>([
  [{ map: [20, 17] }, 1, 5e-4],
  [{ channels: 17, filters: 19, map: [7, 6], before: [0, 2], after: [1, 1] }, 1, 1e-4],
  [{ channels: 16, filters: 64, map: [4, 4] }, 1, 3e-5],
  [{ batch: 64, map: [32, 30] }, 2, 2e-3],
])('a gradient of a weight alone by minimal filtering of %j, in %i, is that of its definition', async (...given) => {
  const [what, pieces, furthest] = given;
  const of = { ...narrow, ...what };
  expect(turnsOf(of)).toEqual([0, 0, pieces]);
  expect((await distances(of)).toW).toBeLessThan(furthest);
});

it.each<[string, Partial<Case>, readonly number[]]>([
  ['at the fewest channels', {}, [1, 1, 1]],
  ['of 256 places', { map: [16, 16] }, [1, 1, 1]],
  ['of 1,024 places, in pieces', { channels: 64, map: [32, 32] }, [3, 3, 2]],
  ['of 1,025 places', { map: [25, 41] }, [0, 0, 1]],
  ['of 22 places in one row', { map: [1, 22] }, [0, 0, 0]],
  ['of 16 places', { map: [4, 4] }, [1, 1, 1]],
  ['of 15 places', { map: [3, 5] }, [0, 0, 0]],
  // whose input's gradient is a convolution at 1,056 places
  ['of 930 places on a map of 1,056', { map: [32, 33], before: [0, 0], after: [0, 0] }, [2, 0, 1]],
  ['of 15 examples', { batch: 15 }, [0, 0, 0]],
  ['of 31 channels', { channels: 31 }, [0, 0, 1]],
  ['of 31 filters', { filters: 31 }, [0, 0, 1]],
  ['of 16 channels and filters', narrow, [0, 0, 1]],
  ['of 15 channels', { channels: 15 }, [0, 0, 0]],
  ['of 15 filters', { filters: 15 }, [0, 0, 0]],
  // whose weight has a gradient for each
  ['of 2 groups', { groups: 2, channels: 128, filters: 128 }, [0, 0, 2]],
  ['of another kernel', { kernel: [3, 2] }, [0, 0, 0]],
  ['of a stride', { map: [16, 8], strides: [2, 1] }, [0, 0, 0]],
  ['of a dilation', { map: [8, 8], dilations: [1, 2], before: [1, 2], after: [1, 2] }, [0, 0, 0]],
  ['of 2^24 numbers', { batch: 8192, map: [4, 4] }, [2, 2, 8]],
  ['of more numbers', { batch: 8193, map: [4, 4] }, [0, 0, 0]],
  ['whose weight has more', { map: [4, 4], channels: 1025, filters: 1024 }, [0, 0, 0]],
])('a convolution %s is by minimal filtering where that pays', (_, given, turns) => {
  expect(turnsOf({ ...bounds, ...given })).toEqual(turns);
});

/** It alone gathers along the first axis: what it transforms, and then a result's places or the gradient's tiles. */
const turnsOf = (of: Case) =>
  nodesOf(of, ({ opType, attributes }) => {
    const axis = attributes.get('axis');
    return opType === 'Gather' && axis?.kind === 'int' && axis.value === 0;
  }).map((gathers) => gathers / 2);
