import type { jobs } from '@modelmill/contracts';
import type { JobKind } from './job-kind.js';
import type { JobRecord, StoredJob } from './job-record.js';
import { hasEnded } from './job-record.js';
import { withEvent } from './outbox.js';

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

// What can happen to a job, as functions from record to record. Applied twice they are as applied once.

type State = NonNullable<jobs.JobStatus['state']>;

export function submitted(id: string, kind: JobKind, spec: Uint8Array): StoredJob {
  const now = new Date();
  const status = { jobId: id, state: { $case: 'queued' as const, queued: {} }, createdAt: now, updatedAt: now };
  const job: JobRecord = { id, kind, spec, status, childJobs: [], cancelRequested: false };
  const fresh = { attempt: 0, tries: 0, owner: '', beat: 0, generation: 1, sequence: 0, trouble: '', outbox: [] };
  return told({ job, ...fresh }, 'queued', {});
}

/** The queue has its message. */
export function enqueued(record: StoredJob, generation: number, sequence: number): StoredJob | undefined {
  if (record.generation !== generation || record.sequence !== 0) return undefined;
  return { ...record, sequence };
}

/** A worker takes it. */
export function claimed(record: StoredJob, claim: { owner: string; replica: string; sequence: number }): StoredJob {
  const { owner, replica, sequence } = claim;
  const attempt = record.attempt + 1;
  const done = record.job.status.state?.$case === 'running' ? record.job.status.state.running.done : 0;
  const next = withState(record, { $case: 'running', running: { replica, attempt, stage: '', done } });
  return told({ ...next, attempt, tries: record.tries + 1, owner, sequence }, 'started', { replica, attempt });
}

/** Its owner tells how far it is. `mark` tells this update from others. */
export function updated(record: StoredJob, update: JobUpdate, mark: string): StoredJob {
  const { state } = record.job.status;
  if (state?.$case !== 'running') return record;
  const { stage = state.running.stage, done = state.running.done, progress, checkpoint, childJobs } = update;
  const job = {
    ...record.job,
    status: { ...record.job.status, state: { $case: 'running' as const, running: { ...state.running, stage, done } } },
    ...(progress === undefined ? {} : { progress }),
    ...(checkpoint === undefined ? {} : { checkpoint }),
    ...(childJobs === undefined ? {} : { childJobs }),
  };
  const next = { ...record, job };
  return checkpoint === undefined ? next : told(next, 'checkpointed', { sha256: checkpoint, done }, `.${mark}`);
}

/** Back to the queue: handed back at a shutdown, which does not count as a try, or to be tried again after trouble. */
export function released(record: StoredJob, why: { kind: 'shutdown' } | { kind: 'trouble'; text: string }): StoredJob {
  const next = { ...withState(record, { $case: 'queued', queued: {} }), owner: '' };
  return why.kind === 'shutdown' ? { ...next, tries: record.tries - 1 } : { ...next, trouble: why.text };
}

/** To be put in the queue anew, because its message or its owner is gone. */
export function requeued(record: StoredJob): StoredJob {
  const next =
    record.job.status.state?.$case === 'queued' ? record : withState(record, { $case: 'queued', queued: {} });
  return { ...next, owner: '', generation: record.generation + 1, sequence: 0 };
}

export function cancelRequested(record: StoredJob): StoredJob | undefined {
  if (hasEnded(record.job) || record.job.cancelRequested) return undefined;
  const next = { ...record, job: { ...record.job, cancelRequested: true } };
  return next.job.status.state?.$case === 'queued' ? ended(next, { $case: 'cancelled', cancelled: {} }) : next;
}

/** The end; its owner stays on record, so that it knows its own work again. */
export function ended(record: StoredJob, state: State): StoredJob {
  return told(withState(record, state), state.$case, endData(state));
}

function endData(state: State): object {
  switch (state.$case) {
    case 'succeeded':
      return state.succeeded;
    case 'failed':
      return state.failed;
    default:
      return {};
  }
}

const withState = (record: StoredJob, state: State): StoredJob => ({
  ...record,
  job: { ...record.job, status: { ...record.job.status, state, updatedAt: new Date() } },
});

function told(record: StoredJob, what: string, data: object, mark = what === 'started' ? `.${record.attempt}` : '') {
  const { id, kind } = record.job;
  const subject = `job.${id}.${what}`;
  return withEvent(record, { subject, data: { jobId: id, kind, ...data }, msgId: `${subject}${mark}` });
}
