import type { jobs } from '@modelmill/contracts';

export type JobKind = 'train' | 'optimize';

/** One durable unit of work, as everyone sees it. */
export interface JobRecord {
  readonly id: string;
  readonly kind: JobKind;
  /** The kind's spec, as it was submitted. */
  readonly spec: Uint8Array;
  readonly status: jobs.JobStatus;
  /** The kind's own words about how far it is. */
  readonly progress?: Uint8Array;
  /** sha256 of the artifact to go on from. */
  readonly checkpoint?: string;
  /** Jobs it submitted and waits for. */
  readonly childJobs: readonly string[];
  readonly cancelRequested: boolean;
}

/** How a job ended well. */
export interface JobResult {
  /** Empty for a job that was asked for an artifact only. */
  readonly version: string;
  readonly artifactSha256: string;
  readonly metrics: Readonly<Record<string, number>>;
}

export const hasEnded = ({ status }: Pick<JobRecord, 'status'>): boolean =>
  status.state?.$case === 'succeeded' || status.state?.$case === 'failed' || status.state?.$case === 'cancelled';
