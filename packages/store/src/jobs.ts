import type { JobClaim } from './job-claim.js';
import type { JobKind, JobRecord, JobResult } from './job-record.js';
import type { WorkOptions } from './job-worker.js';

/** Durable work: the KV record is the truth, the queue only says where to look. */
export interface Jobs {
  /** Queues a job. The same id again returns the first job, whatever its spec. Throws InvalidNameError. */
  submit(kind: JobKind, spec: Uint8Array, jobId?: string): Promise<JobRecord>;
  /** Throws NotFoundError. */
  get(id: string): Promise<JobRecord>;
  /** Newest first. */
  list(kind: JobKind): Promise<JobRecord[]>;
  /** A queued job is cancelled at once, a running one within about a second; one that has ended stays as it is. */
  cancel(id: string): Promise<JobRecord>;
  /** The job now and at every change, until it has ended or the signal aborts. Throws NotFoundError. */
  watch(id: string, signal?: AbortSignal): AsyncIterable<JobRecord>;
  /**
   * Works on jobs of a kind until disposed. A handler that throws JobFailedError fails its job; any other error has it
   * tried again, up to `maxDeliver` times, then it fails and goes to the dead letters.
   */
  work(kind: JobKind, options: WorkOptions, handle: (claim: JobClaim) => Promise<JobResult>): AsyncDisposable;
}
