import { randomUUID } from 'node:crypto';
import type { jobs } from '@modelmill/contracts';

export interface SubmitOptions {
  /** Submitting again with the same id returns the first job. Unset: a new one, made here, so that a retry is safe. */
  readonly jobId?: string | undefined;
}

export const newJobId = () => randomUUID();

/** Whether a job has succeeded, failed or was cancelled. */
export function hasEnded(status: jobs.JobStatus | undefined): boolean {
  const state = status?.state?.$case;
  return state === 'succeeded' || state === 'failed' || state === 'cancelled';
}
