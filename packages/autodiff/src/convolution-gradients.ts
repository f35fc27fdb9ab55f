import { examplesFirst, examplesLast } from './examples-last.js';
import {
  concat,
  gemm,
  int,
  intList,
  make,
  matMul,
  mul,
  pad,
  reduceSum,
  reshape,
  slice,
  split,
  transpose,
} from './ops.js';
import { constant, size } from './value.js';
import type { Shape, Value } from './value.js';
import { columnsPayForConvolution, columnsPayForWeight, fewChannels, windowColumns } from './window-columns.js';
import { leftOver } from './windows.js';
import type { Windows } from './windows.js';
import { winogradInput, winogradPays, winogradPaysForWeight, winogradWeight } from './winograd.js';

/** Gradient of Conv's input [n, c, …spatial] from that of its output [n, o, …]. */
export function convolutionInput(g: Value, weight: Value, x: Shape, windows: Windows, byColumns: boolean): Value {
  const { kernel, strides, dilations, before, after, groups } = windows;
  const reach = kernel.map((k, i) => dilations[i]! * (k - 1));
  const fits = reach.every((r, i) => r >= before[i]! && r >= after[i]!);
  // one input channel leaves a flipped convolution too little to do at once
  if (strides.every((stride) => stride === 1) && fits && x[1]! > groups) {
    const [, channels = 0, ...places] = x;
    const [filters = 0] = weight.shape;
    if (byColumns && winogradPays(g.shape, places, windows, channels)) return winogradInput(g, weight, x, windows);
    if (byColumns && columnsPayForConvolution(g.shape, places, windows, channels)) {
      const byInput = transpose(reshape(weight, [filters, channels, size(kernel)]), [1, 0, 2]);
      const around = { ...windows, before: reach.map((r, i) => r - before[i]!) };
      const columns = windowColumns(g, places, around, true);
      return examplesFirst(gemm(reshape(byInput, [channels, filters * size(kernel)]), columns, false, false), x);
    }
    return make('Conv', [g, flipped(weight, groups)], x, g.dataType, {
      kernel_shape: intList(kernel),
      dilations: intList(dilations),
      pads: intList([...reach.map((r, i) => r - before[i]!), ...reach.map((r, i) => r - after[i]!)]),
      ...(groups === 1 ? {} : { group: int(groups) }),
    });
  }
  const form = {
    kernel_shape: intList(kernel),
    strides: intList(strides),
    dilations: intList(dilations),
    ...(groups === 1 ? {} : { group: int(groups) }),
  };
  const left = leftOver(x.slice(2), windows);
  const isEven = left.every((count) => count === 0) && before.every((count, i) => count === after[i]);
  const whole = g.shape.slice(2).map((places, i) => (places - 1) * strides[i]! + reach[i]! + 1);
  if (byColumns || isEven || whole.some((places, i) => places < before[i]!)) {
    const pads = { pads: intList([...before, ...after]), output_padding: intList(left) };
    return make('ConvTranspose', [g, weight], x, g.dataType, { ...form, ...pads });
  }
  // ONNX Runtime's CUDA leaves what is padded unevenly to the processor
  const ends = whole.map((size, i) => Math.min(size, before[i]! + x[i + 2]!));
  const all = make('ConvTranspose', [g, weight], [x[0]!, x[1]!, ...whole], g.dataType, form);
  const seen = slice(
    all,
    ends.map((end, i) => ({ axis: i + 2, start: before[i]!, end, step: 1 })),
  );
  const none = x.map(() => 0);
  const missing = x.slice(2).map((size, i) => size - (ends[i]! - before[i]!));
  return pad(seen, none, [0, 0, ...missing]);
}

/** [o, c/groups, …kernel] turned around in space, inputs and outputs exchanged within each group: [c, o/groups, …]. */
function flipped(weight: Value, groups: number): Value {
  const [filters = 0, inputs = 0, ...kernel] = weight.shape;
  const taps = size(kernel);
  const swapped = transpose(reshape(weight, [groups, filters / groups, inputs, taps]), [0, 2, 1, 3]);
  // a product with the mirrored identity: slices that run backwards go element by element
  const mirror = constant(
    Array.from({ length: taps * taps }, (_, i) => Number(Math.floor(i / taps) + (i % taps) === taps - 1)),
    [taps, taps],
  );
  const turned = taps === 1 ? swapped : matMul(reshape(swapped, [size(weight.shape) / taps, taps]), mirror);
  return reshape(turned, [groups * inputs, filters / groups, ...kernel]);
}

/**
 * Gradient of Conv's weight [o, c/groups, …kernel]: of the output's gradient and what the windows see, one product, or one
 * for each tap.
 */
export function convolutionWeight(g: Value, x: Value, weight: Shape, windows: Windows, byColumns: boolean): Value {
  const { groups } = windows;
  if (groups === 1) return oneGroup(g, x, weight, windows, byColumns);
  if (weight[1] === 1) return depthwise(g, x, weight, windows);
  const each = (v: Value) =>
    split(
      v,
      Array.from({ length: groups }, () => v.shape[1]! / groups),
      1,
    );
  const xs = each(x);
  const shape = [weight[0]! / groups, ...weight.slice(1)];
  return concat(
    each(g).map((part, i) => oneGroup(part, xs[i]!, shape, { ...windows, groups: 1 }, byColumns)),
    0,
  );
}

function oneGroup(g: Value, x: Value, weight: Shape, windows: Windows, byColumns: boolean): Value {
  const [filters = 0, channels = 0] = weight;
  const swap = [1, 0, ...windows.kernel.map((_, i) => i + 2)];
  const examples = size(g.shape) / filters;
  const places = g.shape.slice(2);
  if (byColumns && winogradPaysForWeight(x.shape, places, windows, filters))
    return winogradWeight(g, x, weight, windows);
  if (byColumns && columnsPayForWeight(x.shape, places, windows)) {
    const rows = reshape(examplesLast(g), [filters, examples]);
    return reshape(gemm(rows, windowColumns(x, places, windows), false, true), weight);
  }
  const rows = reshape(byColumns ? examplesLast(g) : transpose(g, swap), [filters, examples]);
  const last = [1, ...places.map((_, i) => i + 2), 0];
  const seen = byColumns
    ? shifts(transpose(padded(x, windows), last), 1, places, windows)
    : shifts(transpose(padded(x, windows), swap), 2, places, windows);
  if (channels < fewChannels) {
    // products of so few columns leave most of a vector register idle: one product over all taps
    const columns = reshape(concat(seen, 0), [seen.length * channels, examples]);
    const product = reshape(gemm(rows, columns, false, true), [filters, seen.length, channels]);
    return reshape(transpose(product, [0, 2, 1]), weight);
  }
  const taps = seen.map((shifted) =>
    reshape(gemm(rows, reshape(shifted, [channels, examples]), false, true), [filters, channels, 1]),
  );
  return reshape(concat(taps, 2), weight);
}

/** One input channel per group. */
function depthwise(g: Value, x: Value, weight: Shape, windows: Windows): Value {
  const { groups } = windows;
  const spatial = g.shape.slice(2);
  const batch = g.shape[0]!;
  const of = reshape(g, [batch, groups, weight[0]! / groups, ...spatial]);
  const axes = [0, ...spatial.map((_, i) => i + 3)];
  const taps = shifts(padded(x, windows), 2, spatial, windows).map((shifted) =>
    reshape(reduceSum(mul(of, reshape(shifted, [batch, groups, 1, ...spatial])), axes, false), [weight[0]!, 1, 1]),
  );
  return reshape(concat(taps, 2), weight);
}

const padded = (x: Value, { before, after }: Windows): Value => pad(x, [0, 0, ...before], [0, 0, ...after]);

/** What each tap of the kernel sees of x, whose places begin at an axis, in row-major order of the taps. */
function shifts(x: Value, axis: number, places: Shape, { kernel, strides, dilations }: Windows): Value[] {
  let starts: number[][] = [[]];
  kernel.forEach((k, i) => {
    starts = starts.flatMap((at) => Array.from({ length: k }, (_, tap) => [...at, tap * dilations[i]!]));
  });
  return starts.map((at) =>
    slice(
      x,
      at.map((start, i) => ({
        axis: axis + i,
        start,
        end: start + (places[i]! - 1) * strides[i]! + 1,
        step: strides[i]!,
      })),
    ),
  );
}
