export interface WorkOptions {
  /** Jobs at the same time. */
  readonly concurrency: number;
  /** Silence after which another worker takes over. */
  readonly ackWaitMs: number;
  /** Tries before a job that fails unexpectedly goes to the dead letters. */
  readonly maxDeliver: number;
  /** Hands the jobs back when it aborts. */
  readonly signal: AbortSignal;
}
