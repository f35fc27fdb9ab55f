import type { JsMsg } from '@nats-io/jetstream';
import { JobLostError } from './errors.js';
import type { Events } from './event.js';
import { updated } from './job-changes.js';
import type { JobUpdate } from './job-changes.js';
import type { JobRecord, StoredJob } from './job-record.js';
import { changeAndTell } from './outbox.js';
import { long, usual } from './reach.js';
import type { Patience } from './reach.js';
import type { Entry, RecordTable } from './record-table.js';

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
  /** Headers of the message that brought it: the trace context of who submitted it. */
  readonly headers: Readonly<Record<string, string>>;
  /** Writes, if the job is still this worker's; throws JobLostError otherwise. */
  update(change: JobUpdate): Promise<void>;
  /** Publishes `progress` with this data and writes nothing. Left out while the last report is still on its way. */
  progressed(data: object): void;
  /** Throws JobLostError when the job is another's. To be called right before a side effect. */
  assertOwned(): Promise<void>;
}

export interface HeldJob extends Disposable {
  readonly claim: JobClaim;
  readonly lost: boolean;
  abort(reason: ClaimEnd): void;
  /** The message was delivered again: answers go to the newest. */
  adopt(message: JsMsg): void;
  /** The newest delivery. */
  message(): JsMsg;
  /** A write that only the owner may do; throws JobLostError. */
  write(by: (now: StoredJob) => StoredJob | undefined, patience?: Patience): Promise<void>;
}

export interface Holding {
  readonly table: RecordTable<StoredJob>;
  readonly events: Events;
  readonly ackWaitMs: number;
}

const lookMs = 500;

/** Keeps a claim alive until it is disposed, and ends its signal when it is cancelled or lost. */
export function holdJob(
  { table, events, ackWaitMs }: Holding,
  { key: id, record }: Entry<StoredJob>,
  first: JsMsg,
): HeldJob {
  const { owner, attempt } = record;
  const ending = new AbortController();
  let message = first;
  let marks = 0;
  let reporting = false;

  async function write(by: (now: StoredJob) => StoredJob | undefined, patience: Patience = usual): Promise<void> {
    try {
      await changeAndTell(table, events, id, (now) => by(owned(now)), patience);
    } catch (error) {
      if (error instanceof JobLostError) ending.abort('lost');
      throw error;
    }
  }

  function owned(now: StoredJob | undefined): StoredJob {
    if (now?.owner !== owner || now.attempt !== attempt) throw new JobLostError(id);
    return now;
  }

  async function look(): Promise<void> {
    const now = await table.get(id);
    if (now?.record.owner !== owner) ending.abort('lost');
    else if (now.record.job.cancelRequested) ending.abort('cancelled');
  }

  async function beat(): Promise<void> {
    message.working();
    await write((now) => ({ ...now, beat: now.beat + 1 }));
  }

  const looking = oneAtATime(lookMs, look);
  const beating = oneAtATime(ackWaitMs / 3, beat);

  return {
    get lost() {
      return ending.signal.reason === 'lost';
    },
    write,
    message: () => message,
    abort: (reason) => ending.abort(reason),
    adopt(again) {
      message = again;
      message.working();
    },
    claim: {
      job: record.job,
      attempt,
      signal: ending.signal,
      headers: headersOf(first),
      update(change) {
        const mark = `${attempt}.${++marks}`;
        return write((now) => updated(now, change, mark), { ...long, signal: ending.signal });
      },
      progressed(data) {
        if (reporting) return;
        reporting = true;
        const subject = `job.${id}.progress`;
        const event = { subject, data: { jobId: id, kind: record.job.kind, ...data } };
        void events
          .publish({ ...event, msgId: `${subject}.${attempt}.${++marks}` })
          .catch(() => {}) // the next report says more
          .finally(() => (reporting = false));
      },
      async assertOwned() {
        await write((now) => ({ ...now, beat: now.beat + 1 }));
      },
    },
    [Symbol.dispose]() {
      looking[Symbol.dispose]();
      beating[Symbol.dispose]();
    },
  };
}

/** Calls in intervals, and leaves out what would overlap. Errors are left to the next call. */
function oneAtATime(everyMs: number, call: () => Promise<void>): Disposable {
  let running = false;
  const timer = setInterval(() => {
    if (running) return;
    running = true;
    void call()
      .catch(() => {}) // lost is told by the signal, and NATS may be back at the next call
      .finally(() => (running = false));
  }, everyMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

function headersOf(message: JsMsg): Record<string, string> {
  const { headers } = message;
  if (headers === undefined) return {};
  return Object.fromEntries(headers.keys().map((name) => [name, headers.get(name)]));
}
