import { add, concat, gather, gemm, matMul, pad, reshape, slice, transpose, zeros } from './ops.js';
import { constant, size } from './value.js';
import type { Shape, Value } from './value.js';
import { examplesFirst, examplesLast, fewExamples } from './window-columns.js';
import type { Windows } from './windows.js';

/**
 * Convolutions of 3x3 by minimal filtering, F(2x2, 3x3) (Winograd 1980; Lavin and Gray 2016): what four outputs take is
 * 16 products per channel and filter in place of 36, between transforms that add and halve.
 *
 * y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A for every tile of 2x2 outputs, which sees 4x4 of x; both axes of a tile are one here.
 */
const tile = 2;
const seen = 4;

/** Bᵀ, G and Aᵀ along one axis. */
const ofInput = [
  [1, 0, -1, 0],
  [0, 1, 1, 0],
  [0, -1, 1, 0],
  [0, 1, 0, -1],
];
const ofKernel = [
  [1, 0, 0],
  [0.5, 0.5, 0.5],
  [0.5, -0.5, 0.5],
  [0, 0, 1],
];
const ofOutput = [
  [1, 1, 1, 0],
  [0, 1, -1, -1],
];

type Matrix = readonly (readonly number[])[];

/** The same along both axes: M ⊗ M. */
function alongBoth(m: Matrix): Value {
  const rows = m.flatMap((a) => m.map((b) => a.flatMap((x) => b.map((y) => x * y))));
  return constant(rows.flat(), [rows.length, rows[0]!.length]);
}

const turned = (m: Matrix): Matrix => m[0]!.map((_, column) => m.map((row) => row[column]!));
const backwards = (m: Matrix): Matrix => m.map((row) => [...row].reverse());

/** Below this, transforms take longer than the products they spare. */
const fewChannels = 64;
/** Places from which and up to which it is faster than the operator and than columns. */
const [fewestPlaces, mostPlaces] = [16, 64];
/** Numbers that the transforms may have: 64 MiB. */
const mostNumbers = 2 ** 24;

/** Whether a convolution of x with so many filters, or one of its gradients, is computed fastest this way. */
export function winogradPays(
  [batch = 0, channels = 0]: Shape,
  places: Shape,
  windows: Windows,
  filters: number,
): boolean {
  const { kernel, strides, dilations, groups } = windows;
  return (
    places.length === 2 &&
    kernel.every((k) => k === 3) &&
    [...strides, ...dilations, groups].every((one) => one === 1) &&
    batch >= fewExamples &&
    Math.min(channels, filters) >= fewChannels &&
    size(places) >= fewestPlaces &&
    size(places) <= mostPlaces &&
    seen ** 2 * Math.max(size(tilesOf(places)) * batch * Math.max(channels, filters), channels * filters) <= mostNumbers
  );
}

const tilesOf = (places: Shape): Shape => places.map((count) => Math.ceil(count / tile));

/** x [n, c, h, w] convolved with w [o, c, 3, 3] at the places: [n, o, …places]. */
export function winograd(x: Value, weight: Value, places: Shape, { before }: Windows, bias?: Value): Value {
  const [filters = 0, channels = 0] = weight.shape;
  const kernels = reshape(kernelsOf(weight, ofKernel), [seen ** 2, filters, channels]);
  return assembled(matMul(kernels, seenOf(x, places, before)), places, x.shape[0]!, bias);
}

/** Its gradient for x from g, that of its output: a convolution of g with the kernel turned around. */
export function winogradInput(g: Value, weight: Value, x: Shape, { before }: Windows): Value {
  const [filters = 0, channels = 0] = weight.shape;
  const kernels = reshape(kernelsOf(weight, backwards(ofKernel)), [seen ** 2, filters, channels]);
  const places = x.slice(2);
  const around = before.map((count) => 2 - count);
  return assembled(matMul(transpose(kernels, [0, 2, 1]), seenOf(g, places, around)), places, x[0]!);
}

/** Its gradient for the weight: Gᵀ [(A g Aᵀ) ⊙ (Bᵀ x B)] G, summed over tiles and examples. */
export function winogradWeight(g: Value, x: Value, weight: Shape, { before }: Windows): Value {
  const [filters = 0, channels = 0] = weight;
  const [batch = 0, , ...places] = g.shape;
  const [down = 0, across = 0] = tilesOf(places);
  const [height = 0, width = 0] = places;
  const within = reshape(examplesLast(g), [filters, height, width, batch]);
  const whole = pad(within, [0, 0, 0, 0], [0, tile * down - height, tile * across - width, 0]);
  const byTile = transpose(reshape(whole, [filters, down, tile, across, tile, batch]), [2, 4, 0, 1, 3, 5]);
  const rows = gemm(
    alongBoth(turned(ofOutput)),
    reshape(byTile, [tile ** 2, size(byTile.shape) / tile ** 2]),
    false,
    false,
  );
  const tiles = reshape(rows, [seen ** 2, filters, down * across * batch]);
  const product = matMul(tiles, transpose(seenOf(x, places, before), [0, 2, 1]));
  return reshape(gemm(reshape(product, [seen ** 2, filters * channels]), alongBoth(ofKernel), true, false), weight);
}

/** G w Gᵀ: [16, o · c]. */
const kernelsOf = (weight: Value, along: Matrix): Value =>
  gemm(alongBoth(along), reshape(weight, [size(weight.shape) / 9, 9]), false, true);

/**
 * Bᵀ x B of what each tile of places sees: [16, c, tiles · n]. Not kept from a convolution to its gradients: it is four times
 * x.
 */
function seenOf(x: Value, places: Shape, before: Shape): Value {
  const [batch = 0, channels = 0, ...spatial] = x.shape;
  const outside = channels * size(spatial);
  const within = reshape(examplesLast(x), [outside, batch]);
  const around = concat([within, zeros([1, batch])], 0);
  const tiles = tilesOf(places);
  const rows = gather(
    around,
    constant(seenRows(channels, spatial, tiles, before), [seen ** 2 * channels * size(tiles)], 'int64'),
    0,
  );
  const transformed = gemm(
    alongBoth(ofInput),
    reshape(rows, [seen ** 2, channels * size(tiles) * batch]),
    false,
    false,
  );
  return reshape(transformed, [seen ** 2, channels, size(tiles) * batch]);
}

/** For each position in a tile, channel and tile the row of [c · places, n], that behind the last outside of the map. */
function seenRows(
  channels: number,
  [height = 0, width = 0]: Shape,
  [down = 0, across = 0]: Shape,
  before: Shape,
): number[] {
  const rows: number[] = [];
  for (let position = 0; position < seen ** 2; position++)
    for (let channel = 0; channel < channels; channel++)
      for (let at = 0; at < down * across; at++) {
        const row = Math.floor(at / across) * tile + Math.floor(position / seen) - before[0]!;
        const column = (at % across) * tile + (position % seen) - before[1]!;
        const inside = row >= 0 && row < height && column >= 0 && column < width;
        rows.push(inside ? (channel * height + row) * width + column : channels * height * width);
      }
  return rows;
}

/** Aᵀ m A of products [16, o, tiles · n] as [n, o, …places]. */
function assembled(products: Value, places: Shape, batch: number, bias?: Value): Value {
  const filters = products.shape[1]!;
  const [down = 0, across = 0] = tilesOf(places);
  const [height = 0, width = 0] = places;
  const rows = gemm(
    alongBoth(ofOutput),
    reshape(products, [seen ** 2, size(products.shape) / seen ** 2]),
    false,
    false,
  );
  const byTile = transpose(reshape(rows, [tile, tile, filters, down, across, batch]), [2, 3, 0, 4, 1, 5]);
  const whole = reshape(byTile, [filters, tile * down, tile * across, batch]);
  const cut = slice(whole, [
    { axis: 1, start: 0, end: height, step: 1 },
    { axis: 2, start: 0, end: width, step: 1 },
  ]);
  const y = bias ? add(cut, reshape(bias, [filters, 1, 1, 1])) : cut;
  return examplesFirst(y, [batch, filters, ...places]);
}
