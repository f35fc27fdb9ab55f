/** How a candidate's times compare with its parent's, measured in alternation. */
export interface Speed {
  /** Median of the parent's time by the candidate's, pair by pair: 2 is twice as fast. */
  readonly ratio: number;
  /** Half of the pairs lie between the two. */
  readonly low: number;
  readonly high: number;
  /** `noise`: neither is faster than the measurement is exact. */
  readonly verdict: 'faster' | 'slower' | 'noise';
}

/** A difference that no one would notice. */
const least = 0.01;

/** Times of a round belong together: what slowed the machine down slowed both. */
export function speedOf(parent: readonly number[], candidate: readonly number[]): Speed {
  const ratios = parent.map((time, i) => time / candidate[i]!);
  const [low, ratio, high] = [0.25, 0.5, 0.75].map((share) => percentile(ratios, share)) as [number, number, number];
  return { ratio, low, high, verdict: low > 1 + least ? 'faster' : high < 1 - least ? 'slower' : 'noise' };
}

/** Such as `2.04 times faster (1.98 to 2.11)`. */
export function speedInWords({ ratio, low, high, verdict }: Speed): string {
  switch (verdict) {
    case 'faster':
      return `${ratio.toFixed(2)} times faster (${low.toFixed(2)} to ${high.toFixed(2)})`;
    case 'slower':
      return `${(1 / ratio).toFixed(2)} times slower (${(1 / high).toFixed(2)} to ${(1 / low).toFixed(2)})`;
    case 'noise':
      return `as fast within noise (${low.toFixed(2)} to ${high.toFixed(2)} times as fast)`;
  }
}

/** As a version's metrics tell it: label rules go by them. */
export const speedMetrics = ({ ratio, low, high, verdict }: Speed) => ({
  speedup: ratio,
  speedup_low: low,
  speedup_high: high,
  slower_than_parent: Number(verdict === 'slower'),
});

/** The value below which a share of the times lies: nearest rank. */
export function percentile(times: readonly number[], share: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]!;
}
