import { emit } from './emit.js';
import { fasterForm } from './faster-forms.js';
import { gradients } from './gradients.js';
import * as op from './ops.js';
import { numbers, runnable } from './run-for-tests.js';
import { input, size } from './value.js';

/** What is convolved; of two axes each. */
interface Case {
  readonly batch: number;
  readonly channels: number;
  readonly filters: number;
  readonly groups: number;
  readonly map: Pair;
  readonly kernel: Pair;
  readonly strides: Pair;
  readonly dilations: Pair;
  readonly before: Pair;
  readonly after: Pair;
}
type Pair = readonly [number, number];

/** A case with 64 places, the most at which everything is done by columns. */
const usual: Case = {
  batch: 16,
  channels: 16,
  filters: 16,
  groups: 1,
  map: [8, 8],
  kernel: [3, 3],
  strides: [1, 1],
  dilations: [1, 1],
  before: [1, 1],
  after: [1, 1],
};

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
  const { inputs, outputs, shapes } = convolved(of);
  expect(gathersOf(of)).toEqual(gathers);

  const [xs, ws, gs, bs] = Object.values(shapes).map((shape, seed) => numbers(size(shape), { seed: seed + 1 }));
  const [toX, toW] = [new Float64Array(xs!.length), new Float64Array(ws!.length)];
  const { channels, filters, map, kernel, strides, dilations, before } = of;
  const [taps, places] = [size(kernel), size(placesOf(of))];
  const ys = Float64Array.from(gs!, (_, i) => bs![Math.floor(i / places) % filters]!);
  for (let image = 0; image < of.batch; image++)
    for (let filter = 0; filter < filters; filter++)
      for (let place = 0; place < places; place++) {
        const to = (image * filters + filter) * places + place;
        const width = placesOf(of)[1];
        for (let tap = 0; tap < taps; tap++) {
          const row = Math.floor(place / width) * strides[0] + Math.floor(tap / kernel[1]) * dilations[0] - before[0];
          const column = (place % width) * strides[1] + (tap % kernel[1]) * dilations[1] - before[1];
          if (row < 0 || row >= map[0] || column < 0 || column >= map[1]) continue;
          for (let channel = 0; channel < channels; channel++) {
            const from = ((image * channels + channel) * map[0] + row) * map[1] + column;
            const by = (filter * channels + channel) * taps + tap;
            ys[to]! += xs![from]! * ws![by]!;
            toX[from]! += gs![to]! * ws![by]!;
            toW[by]! += gs![to]! * xs![from]!;
          }
        }
      }
  const feeds = {
    x: { dims: shapes.x, data: xs! },
    w: { dims: shapes.w, data: ws! },
    g: { dims: shapes.g, data: gs! },
    b: { dims: shapes.b, data: bs! },
  };
  const got = await (await runnable(emit({ name: 'columns', inputs, outputs, formOf: fasterForm })))(feeds);
  const furthest = (a: Float64Array, b: Float32Array) => Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
  expect(furthest(ys, got['y']!)).toBeLessThan(1e-4);
  expect(furthest(toX, got['toX']!)).toBeLessThan(1e-4);
  expect(furthest(toW, got['toW']!)).toBeLessThan(2e-4);
});

it.each<[string, Partial<Case>, Gathers]>([
  ['at every bound', {}, [1, 1, 1]],
  ['of 65 places', { map: [5, 13] }, [0, 0, 1]],
  ['of 256 places', { map: [16, 16] }, [0, 0, 1]],
  ['of 257 places', { map: [1, 257] }, [0, 0, 0]],
  ['of 64 places on a map of 80', { map: [10, 8], before: [0, 1], after: [0, 1] }, [1, 0, 1]],
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

/** A convolution and its gradients, of values that are fed. */
function convolved(of: Case) {
  const { batch, channels, filters, groups, map, kernel } = of;
  const shapes = {
    x: [batch, channels, ...map],
    w: [filters, channels / groups, ...kernel],
    g: [batch, filters, ...placesOf(of)],
    b: [filters],
  };
  const [x, w] = [input('x', shapes.x), input('w', shapes.w)];
  const [g, b] = [input('g', shapes.g), input('b', shapes.b)];
  const y = op.make('Conv', [x, w, b], shapes.g, 'float', {
    kernel_shape: op.intList(kernel),
    strides: op.intList(of.strides),
    dilations: op.intList(of.dilations),
    pads: op.intList([...of.before, ...of.after]),
    group: op.int(groups),
  });
  const found = gradients(op.sum(op.mul(y, g)), [x, w], { columns: true });
  const outputs = new Map([
    ['y', y],
    ['toX', found.get(x)!],
    ['toW', found.get(w)!],
  ]);
  return { inputs: [x, w, g, b], outputs, shapes };
}

function gathersOf(of: Case): number[] {
  const { inputs, outputs } = convolved(of);
  return [...outputs].map((output) => {
    const { graph } = emit({ name: 'columns', inputs, outputs: new Map([output]), formOf: fasterForm });
    return graph.nodes.filter(({ opType }) => opType === 'Gather').length;
  });
}

function placesOf({ map, kernel, strides, dilations, before, after }: Case): Pair {
  const along = (axis: 0 | 1) => {
    const free = map[axis] + before[axis] + after[axis] - dilations[axis] * (kernel[axis] - 1) - 1;
    return Math.floor(free / strides[axis]) + 1;
  };
  return [along(0), along(1)];
}
