import type { serving } from '@modelmill/contracts';

/** Counts times by size, in steps of 9 %. */
export interface TimeBuckets {
  add(ms: number): void;
  /** Summed, in ms. */
  sum(): number;
  count(): number;
  message(): serving.Times;
}

const perDoubling = 8;

export function createTimeBuckets(): TimeBuckets {
  const counts = new Map<number, bigint>();
  let sum = 0;
  let count = 0;
  return {
    add(ms) {
      const step = Math.ceil(perDoubling * Math.log2(Math.max(ms, 0.001)));
      counts.set(step, (counts.get(step) ?? 0n) + 1n);
      sum += ms;
      count++;
    },
    sum: () => sum,
    count: () => count,
    message: () => ({
      p50Ms: 0,
      p99Ms: 0,
      buckets: [...counts]
        .sort(([a], [b]) => a - b)
        .map(([step, of]) => ({ upToMs: 2 ** (step / perDoubling), count: of })),
    }),
  };
}
