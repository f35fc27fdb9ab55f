import type { JobRecord } from './job-record.js';

/** What a worker tells about its job. What is left out stays as it was. */
export interface JobUpdate {
  /** A word or two: `training`, `calibrating`. */
  readonly stage?: string;
  /** From 0 to 1. */
  readonly done?: number;
  /** The kind's own words. */
  readonly progress?: Uint8Array;
  /** sha256 of an artifact that is stored already; publishes `checkpointed`. */
  readonly checkpoint?: string;
  readonly childJobs?: readonly string[];
}

/** Why a claim's signal aborted. */
export type ClaimEnd = 'cancelled' | 'lost' | 'shutdown';

/** One worker's hold on one job. */
export interface JobClaim {
  /** As it was claimed: a job that was tried before has its checkpoint. */
  readonly job: JobRecord;
  /** 1 for the first try. */
  readonly attempt: number;
  /** Aborts with a ClaimEnd as its reason. */
  readonly signal: AbortSignal;
  /** Writes, if the job is still this worker's; throws JobLostError otherwise. */
  update(change: JobUpdate): Promise<void>;
  /** Publishes `progress` with this data and writes nothing. A lost report is not repeated. */
  progressed(data: object): Promise<void>;
  /** Throws JobLostError when the job is another's. To be called right before a side effect. */
  assertOwned(): Promise<void>;
}
