import type { Node } from '@modelmill/onnx';
import { emit } from './emit.js';
import { fasterForms } from './faster-forms.js';
import { gradients } from './gradients.js';
import * as op from './ops.js';
import { numbers, runnable } from './run-for-tests.js';
import { input, size } from './value.js';
import type { Value } from './value.js';

/** What is convolved; of two axes each. */
export interface Case {
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
export const usual: Case = {
  batch: 16,
  channels: 16,
  filters: 16,
  groups: 1,
  map: [8, 8],
  kernel: [3, 4],
  strides: [1, 1],
  dilations: [1, 1],
  before: [1, 1],
  after: [1, 2],
};

/** How far a convolution and its gradients, in their faster forms for the CPU or in others, are from their definitions. */
export async function distances(of: Case, columns = true): Promise<Readonly<Record<'y' | 'toX' | 'toW', number>>> {
  const { inputs, outputs, shapes } = convolved(of, columns);
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
  const form = formIn(columns, [...outputs.values()]);
  const got = await (await runnable(emit({ name: 'columns', inputs, outputs, ...form })))(feeds);
  const furthest = (a: Float64Array, b: Float32Array) =>
    a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
  return { y: furthest(ys, got['y']!), toX: furthest(toX, got['toX']!), toW: furthest(toW, got['toW']!) };
}

/** A convolution and its gradients, of values that are fed. */
function convolved(of: Case, columns: boolean) {
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
  const found = gradients(op.sum(op.mul(y, g)), [x, w], { columns });
  const outputs = new Map([
    ['y', y],
    ['toX', found.get(x)!],
    ['toW', found.get(w)!],
  ]);
  return { inputs: [x, w, g, b], outputs, shapes };
}

/** Of a convolution, of the gradient of its input, and of that of its weight: how many nodes of a kind compute it. */
export function nodesOf(of: Case, isOne: (node: Node) => boolean, columns = true): number[] {
  const { inputs, outputs } = convolved(of, columns);
  return [...outputs].map((output) => {
    const { graph } = emit({ name: 'columns', inputs, outputs: new Map([output]), ...formIn(columns, [output[1]]) });
    return graph.nodes.filter(isOne).length;
  });
}

const formIn = (columns: boolean, roots: readonly Value[]) => (columns ? { formOf: fasterForms(roots) } : {});

function placesOf({ map, kernel, strides, dilations, before, after }: Case): Pair {
  const along = (axis: 0 | 1) => {
    const free = map[axis] + before[axis] + after[axis] - dilations[axis] * (kernel[axis] - 1) - 1;
    return Math.floor(free / strides[axis]) + 1;
  };
  return [along(0), along(1)];
}
