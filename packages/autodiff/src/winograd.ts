import { examplesFirst } from './examples-last.js';
import { mapOfTiles, tilesOfMap } from './map-tiles.js';
import { add, concat, gemm, matMul, reshape, transpose } from './ops.js';
import { constant, size } from './value.js';
import type { Shape, Value } from './value.js';
import { fewChannels, fewExamples } from './window-columns.js';
import type { Windows } from './windows.js';

/**
 * Convolutions of 3x3 by minimal filtering, F(m x m, 3x3) (Winograd 1980; Lavin and Gray 2016): what m x m outputs take is
 * (m + 2)² products per channel and filter in place of 9 m², between transforms that multiply by constants.
 *
 * y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A for every tile of m x m outputs, which sees (m + 2)² of x; both axes of a tile are one here.
 */
interface Filtering {
  /** m. */
  readonly tile: number;
  /** m + 2. */
  readonly seen: number;
  /** Bᵀ, G and Aᵀ along one axis. */
  readonly ofInput: Matrix;
  readonly ofKernel: Matrix;
  readonly ofOutput: Matrix;
}

type Matrix = readonly (readonly number[])[];

/** From the points 0, 1, −1 and infinity: 16 products in place of 36. */
const byTwos: Filtering = {
  tile: 2,
  seen: 4,
  ofInput: [
    [1, 0, -1, 0],
    [0, 1, 1, 0],
    [0, -1, 1, 0],
    [0, 1, 0, -1],
  ],
  ofKernel: [
    [1, 0, 0],
    [0.5, 0.5, 0.5],
    [0.5, -0.5, 0.5],
    [0, 0, 1],
  ],
  ofOutput: [
    [1, 1, 1, 0],
    [0, 1, -1, -1],
  ],
};

/** From the points 0, ±a, ±b and infinity: 36 products in place of 144. */
function fromPoints(a: number, b: number): Filtering {
  const [aa, bb] = [a * a, b * b];
  const points = [0, a, -a, b, -b];
  const scales = [aa * bb, ...[a, -a].map(() => 2 * aa * (aa - bb)), ...[b, -b].map(() => 2 * bb * (bb - aa))];
  return {
    tile: 4,
    seen: 6,
    ofInput: [
      [aa * bb, 0, -aa - bb, 0, 1, 0],
      ...[a, -a].map((p) => [0, -p * bb, -bb, p, 1, 0]),
      ...[b, -b].map((p) => [0, -p * aa, -aa, p, 1, 0]),
      [0, aa * bb, 0, -aa - bb, 0, 1],
    ],
    ofKernel: [...points.map((p, i) => [1, p, p * p].map((power) => power / scales[i]!)), [0, 0, 1]],
    ofOutput: [0, 1, 2, 3].map((power) => [...points.map((p) => p ** power), Number(power === 3)]),
  };
}

/** These points, which floats hold exactly, round a third as much as the usual 1 and 2. */
const byFours = fromPoints(0.625, 1.5);

/** Up to so many places larger tiles are no faster, and round more. */
const mostPlacesByTwos = 36;
const filteringOf = (places: Shape): Filtering => (size(places) <= mostPlacesByTwos ? byTwos : byFours);

/** The same along both axes: M ⊗ M. */
function alongBoth(m: Matrix): Value {
  const rows = m.flatMap((a) => m.map((b) => a.flatMap((x) => b.map((y) => x * y))));
  return constant(rows.flat(), [rows.length, rows[0]!.length]);
}

const turned = (m: Matrix): Matrix => m[0]!.map((_, column) => m.map((row) => row[column]!));
const backwards = (m: Matrix): Matrix => m.map((row) => [...row].reverse());

/** Below this, a convolution's transforms take longer than the products they spare. */
const fewChannelsOfConvolutions = 32;
/** Places from which it is faster than columns, and up to which it was seen to be faster than the operator. */
const [fewestPlaces, mostPlacesOfConvolutions] = [16, 1024];
/** Per place, in place of 9: tiles that reach far beyond the map spare nothing. */
const mostProducts = 6.75;
/** Numbers that the transforms may have: 64 MiB. */
const mostNumbers = 2 ** 24;
/** Of them those that are made before they are multiplied, for the caches: 4 MiB of a convolution, 8 MiB of a weight's gradient. */
const [mostAtOnce, mostAtOnceOfWeight] = [2 ** 20, 2 ** 21];

/** Whether a convolution of x with so many filters, or the gradient of its input, is computed fastest this way. */
export const winogradPays = (x: Shape, places: Shape, windows: Windows, filters: number): boolean =>
  Math.min(x[1]!, filters) >= fewChannelsOfConvolutions &&
  size(places) <= mostPlacesOfConvolutions &&
  winogradPaysForWeight(x, places, windows, filters);

/** Whether the gradient of a convolution's weight is. */
export function winogradPaysForWeight(
  [batch = 0, channels = 0]: Shape,
  places: Shape,
  { kernel, strides, dilations, groups }: Windows,
  filters: number,
): boolean {
  if (places.length !== 2 || size(places) < fewestPlaces) return false;
  const filtering = filteringOf(places);
  const products = filtering.seen ** 2 * size(tilesOf(places, filtering));
  return (
    products <= mostProducts * size(places) &&
    kernel.every((k) => k === 3) &&
    [...strides, ...dilations, groups].every((one) => one === 1) &&
    batch >= fewExamples &&
    Math.min(channels, filters) >= fewChannels &&
    products * batch * Math.max(channels, filters) <= mostNumbers &&
    filtering.seen ** 2 * channels * filters <= mostNumbers
  );
}

const tilesOf = (places: Shape, { tile }: Filtering): Shape => places.map((count) => Math.ceil(count / tile));

/** x [n, c, h, w] convolved with w [o, c, 3, 3] at the places: [n, o, …places]. */
export function winograd(x: Value, weight: Value, places: Shape, { before }: Windows, bias?: Value): Value {
  const filtering = filteringOf(places);
  return convolved(x, kernelsOf(weight, filtering.ofKernel), places, before, filtering, bias);
}

/** Its gradient for x from g, that of its output: a convolution of g with the kernel turned around. */
export function winogradInput(g: Value, weight: Value, x: Shape, { before }: Windows): Value {
  const places = x.slice(2);
  const filtering = filteringOf(places);
  const kernels = transpose(kernelsOf(weight, backwards(filtering.ofKernel)), [0, 2, 1]);
  const around = before.map((count) => 2 - count);
  return convolved(g, kernels, places, around, filtering);
}

/** x convolved with the transformed kernels [seen², o, c]; some rows of tiles after others, for the caches. */
function convolved(x: Value, kernels: Value, places: Shape, before: Shape, filtering: Filtering, bias?: Value): Value {
  const [batch = 0] = x.shape;
  const [, filters = 0, channels = 0] = kernels.shape;
  const { tile, seen, ofInput, ofOutput } = filtering;
  const [height = 0, width = 0] = places;
  const [down = 0, across = 0] = tilesOf(places, filtering);
  const numbersOfARow = seen ** 2 * across * batch * Math.max(channels, filters);
  const pieces = Math.ceil(down / Math.max(1, Math.floor(mostAtOnce / numbersOfARow)));
  const bounds = Array.from({ length: pieces + 1 }, (_, i) => Math.floor((i * down) / pieces));
  const tiles = tilesOfMap(x, { tile, wide: seen, down, across, before });
  const [toSeen, toMade] = [alongBoth(ofInput), alongBoth(ofOutput)];
  const strips = bounds.slice(1).map((to, i) => {
    const from = bounds[i]!;
    const products = matMul(kernels, transformed(toSeen, tiles(from * across, to * across)));
    const rows = Math.min(to * tile, height) - from * tile;
    return mapOfTiles(transformed(toMade, products), tile, across, [rows, width], batch);
  });
  const all = strips.length === 1 ? strips[0]! : concat(strips, 1);
  const y = bias ? add(all, reshape(bias, [filters, 1, 1])) : all;
  return examplesFirst(y, [batch, filters, ...places]);
}

/**
 * Its gradient for the weight: Gᵀ [(A g Aᵀ) ⊙ (Bᵀ x B)] G, summed over tiles and examples. Some tiles are done after others,
 * for the memory.
 */
export function winogradWeight(g: Value, x: Value, weight: Shape, { before }: Windows): Value {
  const [filters = 0, channels = 0] = weight;
  const places = g.shape.slice(2);
  const filtering = filteringOf(places);
  const { tile, seen, ofInput, ofKernel, ofOutput } = filtering;
  const [down = 0, across = 0] = tilesOf(places, filtering);
  const tiles = down * across;
  const ofG = tilesOfMap(g, { tile, wide: tile, down, across, before: [0, 0] });
  const ofX = tilesOfMap(x, { tile, wide: seen, down, across, before });
  const [toSeen, toMade] = [alongBoth(ofInput), alongBoth(turned(ofOutput))];
  const pieces = Math.ceil((seen ** 2 * tiles * g.shape[0]! * Math.max(channels, filters)) / mostAtOnceOfWeight);
  const bounds = Array.from({ length: pieces + 1 }, (_, i) => Math.floor((i * tiles) / pieces));
  const products = bounds.slice(1).map((to, i) => {
    const [g, x] = [ofG(bounds[i]!, to), ofX(bounds[i]!, to)];
    return matMul(transformed(toMade, g), transpose(transformed(toSeen, x), [0, 2, 1]));
  });
  const product = products.reduce(add);
  return reshape(gemm(reshape(product, [seen ** 2, filters * channels]), alongBoth(ofKernel), true, false), weight);
}

/** G w Gᵀ: [seen², o, c]. */
function kernelsOf(weight: Value, along: Matrix): Value {
  const [filters = 0, channels = 0] = weight.shape;
  const kernels = gemm(alongBoth(along), reshape(weight, [filters * channels, 9]), false, true);
  return reshape(kernels, [along.length ** 2, filters, channels]);
}

/** M v Mᵀ of every tile, by M ⊗ M: [positions, c, tiles · n]. */
function transformed(along: Value, tiles: Value): Value {
  const [positions = 0, channels = 0, all = 0] = tiles.shape;
  const product = gemm(along, reshape(tiles, [positions, channels * all]), false, false);
  return reshape(product, [along.shape[0]!, channels, all]);
}
