import type { inference } from '@modelmill/contracts';

interface Duration {
  count: number;
  ms: number;
}

const zero = (): Duration => ({ count: 0, ms: 0 });

export type FailureReason = 'REJECTED' | 'CANCELED' | 'BACKEND' | 'OTHER';

/** Upper bounds of the latency histogram's buckets, in seconds. */
export const latencyBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** Counts and durations of one loaded version, in milliseconds; each request of a batch counts the batch's time. */
export interface VersionStatistics {
  /** One execution of so many rows. */
  executed(rows: number, inputMs: number, inferMs: number, outputMs: number): void;
  /** One request that was executed. */
  succeeded(rows: number, queueMs: number, inputMs: number, inferMs: number, outputMs: number): void;
  /** One request that was answered, from its arrival on. */
  answered(ms: number): void;
  failed(reason: FailureReason, ms: number): void;
  snapshot(): StatisticsSnapshot;
}

export interface StatisticsSnapshot {
  readonly lastInferenceMs: number;
  readonly inferences: number;
  readonly executions: number;
  readonly success: Duration;
  readonly fail: Duration;
  readonly queue: Duration;
  readonly input: Duration;
  readonly infer: Duration;
  readonly output: Duration;
  readonly failures: ReadonlyMap<FailureReason, number>;
  readonly batches: ReadonlyMap<
    number,
    { readonly input: Duration; readonly infer: Duration; readonly output: Duration }
  >;
  /** Requests per bucket of `latencyBounds`, and beyond. */
  readonly latency: readonly number[];
}

export function createStatistics(): VersionStatistics {
  const total = { success: zero(), fail: zero(), queue: zero(), input: zero(), infer: zero(), output: zero() };
  const batches = new Map<number, { input: Duration; infer: Duration; output: Duration }>();
  const failures = new Map<FailureReason, number>();
  const latency = Array<number>(latencyBounds.length + 1).fill(0);
  let lastInferenceMs = 0;
  let inferences = 0;
  let executions = 0;

  return {
    executed(rows, inputMs, inferMs, outputMs) {
      executions++;
      lastInferenceMs = Date.now();
      let batch = batches.get(rows);
      if (batch === undefined) batches.set(rows, (batch = { input: zero(), infer: zero(), output: zero() }));
      add(batch.input, inputMs);
      add(batch.infer, inferMs);
      add(batch.output, outputMs);
    },
    succeeded(rows, queueMs, inputMs, inferMs, outputMs) {
      inferences += rows;
      add(total.queue, queueMs);
      add(total.input, inputMs);
      add(total.infer, inferMs);
      add(total.output, outputMs);
    },
    answered(ms) {
      add(total.success, ms);
      const bucket = latencyBounds.findIndex((bound) => ms / 1000 <= bound);
      latency[bucket === -1 ? latencyBounds.length : bucket]!++;
    },
    failed(reason, ms) {
      add(total.fail, ms);
      failures.set(reason, (failures.get(reason) ?? 0) + 1);
    },
    snapshot: () => ({ lastInferenceMs, inferences, executions, ...total, failures, batches, latency }),
  };
}

function add(duration: Duration, ms: number) {
  duration.count++;
  duration.ms += ms;
}

/** The snapshot as the protocol tells it. */
export function statisticsMessage(
  name: string,
  version: string,
  of: StatisticsSnapshot,
  memoryUsage: inference.MemoryUsage[] = [],
): inference.ModelStatistics {
  const none = duration(zero());
  return {
    name,
    version,
    lastInference: BigInt(of.lastInferenceMs),
    inferenceCount: BigInt(of.inferences),
    executionCount: BigInt(of.executions),
    inferenceStats: {
      success: duration(of.success),
      fail: duration(of.fail),
      queue: duration(of.queue),
      computeInput: duration(of.input),
      computeInfer: duration(of.infer),
      computeOutput: duration(of.output),
      cacheHit: none,
      cacheMiss: none,
    },
    batchStats: [...of.batches].map(([batchSize, { input, infer, output }]) => ({
      batchSize: BigInt(batchSize),
      computeInput: duration(input),
      computeInfer: duration(infer),
      computeOutput: duration(output),
    })),
    memoryUsage,
    responseStats: {},
  };
}

const duration = ({ count, ms }: Duration): inference.StatisticDuration => ({
  count: BigInt(count),
  ns: BigInt(Math.round(ms * 1e6)),
});
