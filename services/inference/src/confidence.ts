/** One-sided 99 %: the standard normal's quantile. */
const z = 2.326;

/** So many of so many. */
export interface Share {
  readonly count: number;
  readonly of: number;
}

/** Between which shares the true one lies (Wilson 1927); 0 to 1 where nothing was counted. */
export function shareLimits({ count, of }: Share, deviations = z): { readonly low: number; readonly high: number } {
  if (of === 0) return { low: 0, high: 1 };
  const share = count / of;
  const square = deviations ** 2 / of;
  const middle = share + square / 2;
  const reach = deviations * Math.sqrt((share * (1 - share)) / of + square / (4 * of));
  return { low: Math.max(0, (middle - reach) / (1 + square)), high: Math.min(1, (middle + reach) / (1 + square)) };
}

/** How much larger `a` is than `b` at least, as shares (Newcombe 1998, method 10); below 0 where it may be smaller. */
export function leastExcess(a: Share, b: Share, deviations = z): number {
  const shareA = a.of === 0 ? 0 : a.count / a.of;
  const shareB = b.of === 0 ? 0 : b.count / b.of;
  const below = shareA - shareLimits(a, deviations).low;
  const above = shareLimits(b, deviations).high - shareB;
  return shareA - shareB - Math.hypot(below, above);
}

/** The value that a share of the values, which grow, lie below. */
export const quantile = (grown: readonly number[], share: number): number =>
  grown[Math.min(grown.length - 1, Math.floor(share * grown.length))]!;

/** What the true quantile is at least and at most, whatever the distribution: order statistics. 0 and Infinity: too few. */
export function quantileLimits(
  grown: readonly number[],
  share: number,
  deviations = z,
): { readonly low: number; readonly high: number } {
  const rank = grown.length * share;
  const reach = deviations * Math.sqrt(rank * (1 - share));
  return {
    low: grown[Math.floor(rank - reach) - 1] ?? 0,
    high: grown[Math.ceil(rank + reach)] ?? Infinity,
  };
}
