import { jobs } from '@modelmill/contracts';
import { z } from 'zod';
import type { JobKind } from './job-kind.js';
import { outbox } from './model-records.js';
import type { WithOutbox } from './outbox.js';
import type { RecordForm } from './record-table.js';

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
  /** Digest of the job's history, where one was kept. */
  readonly historySha256?: string;
  /** What was decided on the way, in sentences. */
  readonly notes?: readonly string[];
}

export const hasEnded = ({ status }: Pick<JobRecord, 'status'>): boolean =>
  status.state?.$case === 'succeeded' || status.state?.$case === 'failed' || status.state?.$case === 'cancelled';

/** A job with what keeps it to one owner. */
export interface StoredJob extends WithOutbox {
  readonly job: JobRecord;
  /** Claims so far: the fencing number. */
  readonly attempt: number;
  /** Claims that count against `maxDeliver`: not those that were handed back at a shutdown. */
  readonly tries: number;
  /** The owner's random token; empty while nobody owns it. */
  readonly owner: string;
  /** Counts up while the owner lives. */
  readonly beat: number;
  /** How often it was put in the queue. */
  readonly generation: number;
  /** Where in the queue's stream its message lies; 0: not known to be there. */
  readonly sequence: number;
  /** Why the last try ended. */
  readonly trouble: string;
}

const base64 = z.base64().transform((text): Uint8Array => Buffer.from(text, 'base64'));

const stored = z.object({
  job: z
    .object({
      id: z.string(),
      kind: z.enum(['train', 'optimize']),
      spec: base64,
      status: z.unknown().transform((json) => jobs.JobStatus.fromJSON(json)),
      progress: base64.optional(),
      checkpoint: z.string().optional(),
      childJobs: z.array(z.string()),
      cancelRequested: z.boolean(),
    })
    .transform(({ progress, checkpoint, ...job }): JobRecord => ({
      ...job,
      ...(progress === undefined ? {} : { progress }),
      ...(checkpoint === undefined ? {} : { checkpoint }),
    })),
  attempt: z.number().int(),
  tries: z.number().int(),
  owner: z.string(),
  beat: z.number().int(),
  generation: z.number().int(),
  sequence: z.number().int(),
  trouble: z.string(),
  outbox,
});

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

export const jobForm: RecordForm<StoredJob> = {
  read: (json) => stored.parse(json),
  write: ({ job, ...rest }) => ({
    ...rest,
    job: {
      ...job,
      spec: text(job.spec),
      status: jobs.JobStatus.toJSON(job.status),
      ...(job.progress === undefined ? {} : { progress: text(job.progress) }),
    },
  }),
};
