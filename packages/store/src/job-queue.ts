import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream';
import { headers } from '@nats-io/transport-node';
import { z } from 'zod';
import type { ContextHeaders } from './event.js';
import { enqueued } from './job-changes.js';
import type { JobKind } from './job-kind.js';
import type { StoredJob } from './job-record.js';
import { isJobId } from './names.js';
import { long, reach } from './reach.js';
import type { Entry, RecordTable } from './record-table.js';
import { deadSubject, jobStream, jobSubject } from './streams.js';

/** Where workers look for jobs. A message says only which job: its record says everything else. */
export interface JobQueue {
  /** Puts a job in, once per generation, and notes where. */
  enqueue(entry: Entry<StoredJob>): Promise<void>;
  /** Whether a job's message is still in the queue. */
  holds(record: StoredJob): Promise<boolean>;
  /** Keeps what no worker could do, for people to look at. */
  bury(kind: JobKind, id: string, reason: string, payload: Uint8Array): Promise<void>;
}

const message = z.object({ id: z.string().refine(isJobId) });

/** The id in a message; undefined where it cannot be read. */
export function readJobMessage(data: Uint8Array): string | undefined {
  try {
    return message.parse(JSON.parse(Buffer.from(data).toString('utf8'))).id;
  } catch {
    return undefined; // not ours: the worker buries it
  }
}

export function createJobQueue(
  js: JetStreamClient,
  jsm: JetStreamManager,
  table: RecordTable<StoredJob>,
  context: ContextHeaders,
): JobQueue {
  return {
    async enqueue({ key: id, record: { job, generation } }) {
      const header = headers();
      for (const [name, value] of Object.entries(context())) header.set(name, value);
      const options = { msgID: `${id}.${generation}`, headers: header };
      const { seq } = await reach(() => js.publish(jobSubject(job.kind), JSON.stringify({ id }), options));
      await table.change(id, (now) => now && enqueued(now, generation, seq));
    },
    async holds({ job, sequence }) {
      if (sequence === 0) return false;
      const stored = await reach(() => jsm.streams.getMessage(jobStream, { seq: sequence }));
      return stored !== null && readJobMessage(stored.data) === job.id;
    },
    async bury(kind, id, reason, payload) {
      const body = JSON.stringify({ id, kind, reason, payload: Buffer.from(payload).toString('base64') });
      await reach(() => js.publish(deadSubject(kind), body, { msgID: `dead.${id}` }), long);
    },
  };
}
