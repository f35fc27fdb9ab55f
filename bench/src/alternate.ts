/** One measured comparison. `ratio` is ours against theirs: higher is better for us, 1.0 = equal. */
export interface Result {
  readonly case: string;
  readonly value: number;
  readonly unit: string;
  readonly against: string;
  readonly ratio: number;
  /** The ratio this project set itself, null where none. */
  readonly goal: number | null;
  /** Whether the ratio is at least the goal; null where none is set. */
  readonly met: boolean | null;
}

export interface Contest {
  readonly case: string;
  readonly unit: string;
  readonly against: string;
  readonly goal: number | null;
  /** Whether a larger figure is better (throughput) or a smaller one (time). */
  readonly better: 'higher' | 'lower';
  readonly ours: () => Promise<number>;
  readonly theirs: () => Promise<number>;
}

/**
 * Runs both sides in turn, after one uncounted round of each. The machine's speed drifts, so the ratio is taken round
 * by round and its median is kept; the side that goes first changes every round.
 */
export async function alternate(contest: Contest, rounds: number): Promise<Result> {
  const { ours, theirs, better } = contest;
  await ours();
  await theirs();
  const values: number[] = [];
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const first = round % 2 === 0 ? await ours() : await theirs();
    const second = round % 2 === 0 ? await theirs() : await ours();
    const [mine, other] = round % 2 === 0 ? [first, second] : [second, first];
    values.push(mine);
    ratios.push(better === 'higher' ? mine / other : other / mine);
  }
  const ratio = rounded(median(ratios));
  return {
    case: contest.case,
    value: rounded(median(values)),
    unit: contest.unit,
    against: contest.against,
    ratio,
    goal: contest.goal,
    met: contest.goal === null ? null : ratio >= contest.goal,
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const rounded = (value: number) => Number(value.toPrecision(4));
