import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CounterRandom } from '@modelmill/data';

export const clusterStarts = ['density', 'linear', 'kmeans++'] as const;
export type ClusterStart = (typeof clusterStarts)[number];

export interface ClusterOptions {
  readonly start: ClusterStart;
  readonly keepZeros: boolean;
  /** What `kmeans++` draws from; the same numbers at every try. */
  readonly random: Pick<CounterRandom, 'uniform'>;
}

export interface Clusters {
  /** Ascending. */
  readonly centroids: Float32Array;
  /** Which centroid stands for each value. */
  readonly assigned: Uint8Array;
}

const mostRounds = 50;

/**
 * k-means of numbers (Lloyd 1982), at most 256 clusters. In one dimension a cluster is a stretch of the sorted values, so
 * a round costs a search per border. Starts evenly over the values' ranks (density) or over their range (linear), or at
 * values drawn by their squared distance from those drawn before (kmeans++, Arthur and Vassilvitskii 2007). Where
 * `keepZeros`, zeros have a centroid of their own, which stays 0.
 */
export async function cluster(
  values: Float32Array,
  count: number,
  { start, keepZeros, random }: ClusterOptions,
): Promise<Clusters> {
  const moving = keepZeros ? values.filter((value) => value !== 0) : values;
  const hasZeros = moving.length < values.length;
  const sorted = Float32Array.from(moving).sort();
  await nextTurn();
  const sums = new Float64Array(sorted.length + 1);
  for (let i = 0; i < sorted.length; i++) sums[i + 1] = sums[i]! + sorted[i]!;

  let centroids = starts[start](sorted, Math.max(1, count - (hasZeros ? 1 : 0)), random);
  for (let round = 0; round < mostRounds; round++) {
    const borders = bordersOf(centroids, sorted);
    const next = centroids.map((centroid, k) => {
      const [from, to] = [borders[k]!, borders[k + 1]!];
      return from === to ? centroid : (sums[to]! - sums[from]!) / (to - from);
    });
    const moved = next.some((centroid, k) => centroid !== centroids[k]);
    centroids = next;
    if (!moved) break;
    await nextTurn();
  }
  const all = Float32Array.from(new Set([...Float32Array.from(centroids), ...(hasZeros ? [0] : [])])).sort();
  return { centroids: all, assigned: await assign(values, all, hasZeros) };
}

type Start = (sorted: Float32Array, count: number, random: ClusterOptions['random']) => number[];

const starts: { readonly [S in ClusterStart]: Start } = {
  density: (sorted, count) =>
    spread(count, (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0),
  linear(sorted, count) {
    const [low, high] = [sorted[0] ?? 0, sorted.at(-1) ?? 0];
    if (count === 1) return [(low + high) / 2];
    return Array.from({ length: count }, (_, k) => low + (k * (high - low)) / (count - 1));
  },
  'kmeans++': drawn,
};

const spread = (count: number, at: (share: number) => number) =>
  Array.from({ length: count }, (_, k) => at((k + 0.5) / count));

/** So many values stand for all of a large layer. */
const mostDrawnFrom = 2 ** 16;

function drawn(sorted: Float32Array, count: number, random: ClusterOptions['random']): number[] {
  const values = spread(Math.min(sorted.length, mostDrawnFrom), (share) => sorted[Math.floor(share * sorted.length)]!);
  if (values.length === 0) return [0];
  const draws = random.uniform(0, count);
  const centroids = [values[Math.floor(draws[0]! * values.length)]!];
  const distances = new Float64Array(values.length).fill(Infinity);
  while (centroids.length < count) {
    const last = centroids.at(-1)!;
    let total = 0;
    for (let i = 0; i < values.length; i++) {
      distances[i] = Math.min(distances[i]!, (values[i]! - last) ** 2);
      total += distances[i]!;
    }
    if (total === 0) break; // fewer different values than centroids
    let rest = draws[centroids.length]! * total;
    const at = distances.findIndex((distance) => (rest -= distance) < 0);
    centroids.push(values[at < 0 ? values.length - 1 : at]!);
  }
  return centroids.sort((a, b) => a - b);
}

/** Where each centroid's stretch of the sorted values begins, and the end of the last. */
function bordersOf(centroids: readonly number[], sorted: Float32Array): number[] {
  const inner = centroids.slice(1).map((centroid, k) => lowerBound(sorted, (centroid + centroids[k]!) / 2));
  return [0, ...inner, sorted.length];
}

/** The first place whose value is at least `bound`. */
function lowerBound(sorted: ArrayLike<number>, bound: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

const slice = 2 ** 20;

async function assign(values: Float32Array, centroids: Float32Array, hasZeros: boolean): Promise<Uint8Array> {
  const borders = Float64Array.from(centroids.subarray(1), (centroid, k) => (centroid + centroids[k]!) / 2);
  const zero = centroids.indexOf(0);
  const assigned = new Uint8Array(values.length);
  for (let from = 0; from < values.length; from += slice) {
    const to = Math.min(values.length, from + slice);
    for (let i = from; i < to; i++) {
      const value = values[i]!;
      // the first border beyond the value; on a border the upper one is as near
      assigned[i] = hasZeros && value === 0 ? zero : lowerBound(borders, value);
    }
    await nextTurn();
  }
  return assigned;
}
