import type { serving } from '@modelmill/contracts';

type Comparison = serving.ShadowComparison;
type Output = serving.OutputComparison;

/** What replicas tell of one shadow as one comparison. */
export function merged(
  of: Pick<Comparison, 'model' | 'label' | 'version' | 'share' | 'setAt'>,
  told: readonly Comparison[],
): Comparison {
  const sum = (field: 'answered' | 'picked' | 'compared' | 'failed' | 'waiting') =>
    told.reduce((total, comparison) => total + comparison[field], 0n);
  const side = (field: 'answeredTimes' | 'shadowTimes'): serving.SideTimes => ({
    answer: mergedTimes(told.map((comparison) => comparison[field]?.answer)),
    execution: mergedTimes(told.map((comparison) => comparison[field]?.execution)),
  });
  const dropped: Record<string, bigint> = {};
  for (const comparison of told) {
    for (const [reason, requests] of Object.entries(comparison.dropped)) {
      dropped[reason] = (dropped[reason] ?? 0n) + requests;
    }
  }
  const outputs = told.flatMap((comparison) => comparison.outputs);
  const names = [...new Set(outputs.map(({ name }) => name))].sort();
  return {
    ...of,
    replicas: told.length,
    answered: sum('answered'),
    picked: sum('picked'),
    compared: sum('compared'),
    failed: sum('failed'),
    lastFailure: told.find(({ lastFailure }) => lastFailure !== '')?.lastFailure ?? '',
    dropped,
    waiting: sum('waiting'),
    outputs: names.map((name) => mergedOutput(outputs.filter((output) => output.name === name))),
    answeredTimes: side('answeredTimes'),
    shadowTimes: side('shadowTimes'),
  };
}

const counted = [
  'compared',
  'missing',
  'otherShape',
  'otherDatatype',
  'elements',
  'equalElements',
  'unlikeElements',
  'rows',
  'agreeingRows',
] as const;

/** One output of several replicas; mean squares weigh by the elements that they are of. */
function mergedOutput(of: readonly Output[]): Output {
  const output = { ...of[0]! };
  for (const field of counted) output[field] = of.reduce((total, one) => total + one[field], 0n);
  const measured = (one: Output) => Number(one.elements - one.unlikeElements);
  const rms = (field: 'rmsDifference' | 'rmsAnswered') => {
    const squares = of.reduce((total, one) => total + measured(one) * one[field] ** 2, 0);
    return measured(output) === 0 ? 0 : Math.sqrt(squares / measured(output));
  };
  output.maxDifference = Math.max(...of.map(({ maxDifference }) => maxDifference));
  output.rmsDifference = rms('rmsDifference');
  output.rmsAnswered = rms('rmsAnswered');
  output.relativeDifference = output.rmsAnswered === 0 ? 0 : output.rmsDifference / output.rmsAnswered;
  return output;
}

function mergedTimes(told: readonly (serving.Times | undefined)[]): serving.Times {
  const counts = new Map<number, bigint>();
  for (const { upToMs, count } of told.flatMap((times) => times?.buckets ?? [])) {
    counts.set(upToMs, (counts.get(upToMs) ?? 0n) + count);
  }
  const buckets = [...counts].map(([upToMs, count]) => ({ upToMs, count })).sort((a, b) => a.upToMs - b.upToMs);
  return { p50Ms: quantile(buckets, 0.5), p99Ms: quantile(buckets, 0.99), buckets };
}

/** The middle of the bucket that the quantile lies in: buckets are the eighth root of 2 wide. */
function quantile(buckets: readonly serving.TimeBucket[], share: number): number {
  const total = buckets.reduce((sum, { count }) => sum + Number(count), 0);
  let below = 0;
  for (const { upToMs, count } of buckets) {
    below += Number(count);
    if (below >= share * total) return upToMs * 2 ** (-1 / 16);
  }
  return 0;
}
