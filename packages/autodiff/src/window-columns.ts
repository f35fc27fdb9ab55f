import { examplesLast } from './examples-last.js';
import { concat, gather, reshape, zeros } from './ops.js';
import { constant, size } from './value.js';
import type { Shape, Value } from './value.js';
import type { Windows } from './windows.js';

/** Examples from which their numbers of one place make pieces that are worth copying. */
export const fewExamples = 16;
/** Below this, a product has too little to do at once: as many channels, or filters. */
export const fewChannels = 16;
/** Numbers that columns may have: 64 MiB. */
const mostNumbers = 2 ** 24;

/** Places up to which the columns of windows are made faster than what each tap sees is cut out. */
const mostPlacesOfWeights = 256;
/** Places up to which a convolution by columns is faster than the operator, which takes its examples one by one. */
const mostPlacesOfConvolutions = 64;

/** Whether the gradient of a weight is made fastest with the columns of x's windows at the places. */
export const columnsPayForWeight = (x: Shape, places: Shape, windows: Windows): boolean =>
  size(places) <= mostPlacesOfWeights && columnsPay(x, places, windows);

/** Whether a convolution of x that gives so many filters is computed fastest with the columns of its windows. */
export const columnsPayForConvolution = (x: Shape, places: Shape, windows: Windows, filters: number): boolean =>
  size(places) <= mostPlacesOfConvolutions && filters >= fewChannels && columnsPay(x, places, windows);

function columnsPay([batch = 0, channels = 0]: Shape, places: Shape, { kernel, groups }: Windows): boolean {
  const taps = size(kernel);
  const fits = channels * taps * size(places) * batch <= mostNumbers;
  return fits && groups === 1 && taps > 1 && batch >= fewExamples && channels >= fewChannels;
}

/**
 * What every tap of the kernel sees of x [n, c, …spatial] at every one of the places: [c · taps, places · n]
 * (im2col; Chellapilla et al. 2006). With the examples last, what is copied lies in one piece, whatever the strides.
 * `turned` is for a kernel that is turned around in space: its taps go from the last to the first.
 */
export function windowColumns(x: Value, places: Shape, windows: Windows, turned = false): Value {
  const [batch = 0, channels = 0, ...spatial] = x.shape;
  const outside = size(spatial);
  const byTap = seenPositions(spatial, places, windows);
  const positions = (turned ? byTap.reverse() : byTap).flat().map((position) => position ?? outside);
  const within = examplesLast(x);
  const around = positions.includes(outside) ? concat([within, zeros([channels, 1, batch])], 1) : within;
  const columns = gather(around, constant(positions, [positions.length], 'int64'), 1);
  return reshape(columns, [channels * size(windows.kernel), size(places) * batch]);
}

/** For each tap the position it sees from every place, undefined outside; all in row-major order. */
function seenPositions(spatial: Shape, places: Shape, windows: Windows): (number | undefined)[][] {
  const { kernel, strides, dilations, before } = windows;
  let seen: (number | undefined)[][] = [[0]];
  kernel.forEach((k, axis) => {
    const length = spatial[axis]!;
    const of = Array.from({ length: k }, (_, tap) =>
      Array.from({ length: places[axis]! }, (_, place) => {
        const at = place * strides[axis]! + tap * dilations[axis]! - before[axis]!;
        return at < 0 || at >= length ? undefined : at;
      }),
    );
    seen = seen.flatMap((outer) =>
      of.map((inner) =>
        outer.flatMap((row) =>
          inner.map((at) => (row === undefined || at === undefined ? undefined : row * length + at)),
        ),
      ),
    );
  });
  return seen;
}
