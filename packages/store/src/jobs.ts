import { randomUUID } from 'node:crypto';
import { AlreadyExistsError, NotFoundError, StoreFullError } from './errors.js';
import { cancelRequested, submitted } from './job-changes.js';
import type { JobClaim } from './job-claim.js';
import { hasEnded } from './job-record.js';
import type { JobKind } from './job-kind.js';
import type { JobRecord, JobResult, StoredJob } from './job-record.js';
import { startJobWorker } from './job-worker.js';
import type { WorkOptions, WorkerSource } from './job-worker.js';
import { checkJobId, isJobId } from './names.js';
import { changeAndTell } from './outbox.js';
import type { Entry } from './record-table.js';

/** Durable work: the KV record is the truth, the queue only says where to look. */
export interface Jobs {
  /**
   * Queues a job. The same id again returns the first job, whatever its spec. Throws InvalidNameError, StoreFullError,
   * AlreadyExistsError when the id is a job of another kind.
   */
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

const maxSpecBytes = 262_144;

export function createJobs(source: WorkerSource): Jobs {
  const { table, events, queue } = source;

  async function entryOf(id: string): Promise<Entry<StoredJob>> {
    const entry = isJobId(id) ? await table.get(id) : undefined;
    if (entry === undefined) throw new NotFoundError(`job '${id.slice(0, 80)}' does not exist`);
    return entry;
  }

  return {
    async submit(kind, spec, jobId = randomUUID()) {
      checkJobId(jobId);
      if (spec.byteLength > maxSpecBytes) {
        throw new StoreFullError(`the spec has ${spec.byteLength} bytes, the limit is ${maxSpecBytes}`);
      }
      const entry = await changeAndTell(table, events, jobId, (now) =>
        now === undefined ? submitted(jobId, kind, spec) : undefined,
      );
      const { job, sequence } = entry!.record;
      if (job.kind !== kind) throw new AlreadyExistsError(`job '${jobId}' exists, to ${job.kind} and not to ${kind}`);
      if (sequence !== 0 || hasEnded(job)) return job;
      try {
        await queue.enqueue(entry!);
      } catch (error) {
        if (error instanceof StoreFullError) await table.remove(jobId); // refused, so not half accepted
        throw error;
      }
      return job;
    },

    async get(id) {
      return (await entryOf(id)).record.job;
    },

    async list(kind) {
      const all = (await table.list()).map(({ record }) => record.job).filter((job) => job.kind === kind);
      return all.sort((a, b) => Number(b.status.createdAt) - Number(a.status.createdAt) || (a.id < b.id ? -1 : 1));
    },

    async cancel(id) {
      await entryOf(id);
      const entry = await changeAndTell(table, events, id, (now) => now && cancelRequested(now));
      return entry!.record.job;
    },

    async *watch(id, signal) {
      const changes = changesOf(source, id, signal);
      using _listening = changes;
      let last = '';
      do {
        const { job } = (await entryOf(id)).record;
        const now = JSON.stringify(job); // beats of its owner are no change
        if (now !== last) yield job;
        last = now;
        if (hasEnded(job)) return;
      } while (await changes.next());
    },

    work: (kind, options, handle) => startJobWorker(source, kind, options, handle),
  };
}

/** Waits for hints about one job; false when the signal aborts. */
function changesOf({ table }: WorkerSource, id: string, signal?: AbortSignal) {
  let changed = false;
  let wake = () => {};
  const onAbort = () => wake();
  const listening = table.hints.listen((hint) => {
    if (hint !== undefined && hint.key !== id) return;
    changed = true;
    wake();
  });
  signal?.addEventListener('abort', onAbort);
  return {
    async next(): Promise<boolean> {
      if (!changed && signal?.aborted !== true) await new Promise<void>((done) => (wake = done));
      changed = false;
      return signal?.aborted !== true;
    },
    [Symbol.dispose]() {
      listening[Symbol.dispose]();
      signal?.removeEventListener('abort', onAbort);
    },
  };
}
