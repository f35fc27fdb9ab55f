import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Consumer, ConsumerMessages, JetStreamClient, JetStreamManager, JsMsg } from '@nats-io/jetstream';
import { JobFailedError, JobLostError } from './errors.js';
import type { Events } from './event.js';
import { claimed, ended, released } from './job-changes.js';
import { holdJob } from './job-claim.js';
import type { HeldJob, JobClaim } from './job-claim.js';
import type { JobQueue } from './job-queue.js';
import { readJobMessage } from './job-queue.js';
import { hasEnded } from './job-record.js';
import type { JobKind } from './job-kind.js';
import type { JobResult, StoredJob } from './job-record.js';
import { sweepJobs } from './job-sweeper.js';
import { changeAndTell } from './outbox.js';
import { long } from './reach.js';
import type { Entry, RecordTable } from './record-table.js';
import { ensureJobConsumer, jobStream } from './streams.js';

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

export interface WorkerSource {
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  readonly table: RecordTable<StoredJob>;
  readonly queue: JobQueue;
  readonly events: Events;
  readonly replica: string;
  /** How long the connection has stood. */
  connectedForMs(): number;
}

const pullMs = 5_000;
const retryMs = 500;
const longestRestMs = 30_000;
const goodbyeMs = 2_000; // a shutdown does not wait for NATS: silence hands the job over, too

/** Takes jobs of a kind from the queue and sees each through to its end, or hands it back. */
export function startJobWorker(
  source: WorkerSource,
  kind: JobKind,
  { concurrency, ackWaitMs, maxDeliver, signal }: WorkOptions,
  handle: (claim: JobClaim) => Promise<JobResult>,
): AsyncDisposable {
  const { js, jsm, table, queue, events, replica, connectedForMs } = source;
  const holding = new Map<string, HeldJob>();
  const closing = new AbortController();
  const stop = () => closing.abort();
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  const rest = (ms: number) => sleep(ms, undefined, { signal: closing.signal }).catch(() => {});

  async function pull(): Promise<void> {
    let consumer: Consumer | undefined;
    while (!closing.signal.aborted) {
      try {
        consumer ??= await js.consumers.get(jobStream, await ensureJobConsumer(jsm, kind, ackWaitMs));
        const message = await nextOf(consumer, closing.signal);
        if (message === undefined) continue;
        if (closing.signal.aborted) message.nak();
        else await deliver(message);
      } catch {
        consumer = undefined; // NATS is away, or the consumer is: it is made again
        await rest(retryMs);
      }
    }
  }

  async function deliver(message: JsMsg): Promise<void> {
    const id = readJobMessage(message.data);
    if (id === undefined) {
      await queue.bury(kind, `unreadable-${message.seq}`, 'the message names no job', message.data);
      return message.term();
    }
    const held = holding.get(id);
    if (held !== undefined) return held.adopt(message);
    const entry = await table.get(id);
    if (entry === undefined || !(await isFree(entry, message))) return;
    const mine = await claim(entry, message);
    if (mine !== undefined) await see(mine, message);
  }

  /** Whether a job may be claimed by this message; answers the message where it may not. */
  async function isFree({ key, record, revision, writtenAt }: Entry<StoredJob>, message: JsMsg): Promise<boolean> {
    if (hasEnded(record.job) || (record.owner !== '' && record.sequence !== message.seq)) {
      message.ack(); // the end was written and its ack was lost, or another message stands for it
      return false;
    }
    if (record.owner === '') return true;
    // Delivered again because its owner fell silent, or because NATS was away and could hear nobody.
    const silentMs = Date.now() - writtenAt.getTime();
    if (silentMs > 0.8 * ackWaitMs && connectedForMs() > ackWaitMs) return true;
    if (!(await beats(key, revision, message))) return true;
    message.nak(ackWaitMs);
    return false;
  }

  /** Whether someone writes a job within the ack wait: its owner lives. */
  async function beats(id: string, revision: number, message: JsMsg): Promise<boolean> {
    const until = performance.now() + ackWaitMs;
    while (performance.now() < until && !closing.signal.aborted) {
      await rest(Math.min(250, ackWaitMs / 10));
      message.working();
      if ((await table.get(id))?.revision !== revision) return true;
    }
    return closing.signal.aborted;
  }

  async function claim({ key, record: seen }: Entry<StoredJob>, message: JsMsg): Promise<Entry<StoredJob> | undefined> {
    const owner = randomUUID();
    const exhausted = seen.tries >= maxDeliver;
    if (exhausted) return giveUp(key, seen, message);
    const entry = await changeAndTell(table, events, key, (now) => {
      if (now === undefined || now.owner === owner) return undefined;
      if (now.owner !== seen.owner || now.attempt !== seen.attempt || hasEnded(now.job)) return undefined; // too late
      if (now.job.cancelRequested) return ended(now, { $case: 'cancelled', cancelled: {} });
      return claimed(now, { owner, replica, sequence: message.seq });
    });
    if (entry?.record.owner === owner) return entry;
    if (entry !== undefined && hasEnded(entry.record.job)) message.ack();
    return undefined;
  }

  /** Every worker that had it died. */
  async function giveUp(id: string, seen: StoredJob, message: JsMsg): Promise<undefined> {
    const last = seen.trouble === '' ? 'its worker died each time' : seen.trouble;
    const reason = `given up after ${seen.tries} tries: ${last}`;
    await queue.bury(kind, id, reason, seen.job.spec);
    await changeAndTell(table, events, id, (now) =>
      now === undefined || now.attempt !== seen.attempt || hasEnded(now.job)
        ? undefined
        : ended(now, { $case: 'failed', failed: { reason } }),
    );
    message.ack();
    return undefined;
  }

  async function see(entry: Entry<StoredJob>, message: JsMsg): Promise<void> {
    using held = holdJob({ table, events, ackWaitMs }, entry, message);
    holding.set(entry.key, held);
    const shutDown = () => held.abort('shutdown');
    closing.signal.addEventListener('abort', shutDown);
    if (closing.signal.aborted) shutDown();
    try {
      const result = await handle(held.claim);
      const { historySha256 = '', notes = [], metrics, ...made } = result;
      const succeeded = { ...made, metrics: { ...metrics }, historySha256, notes: [...notes] };
      await end(held, { $case: 'succeeded', succeeded });
    } catch (error) {
      await endBadly(held, entry.record, error).catch((late: unknown) => {
        if (!(late instanceof JobLostError)) throw late;
      });
    } finally {
      closing.signal.removeEventListener('abort', shutDown);
      holding.delete(entry.key);
    }
  }

  async function endBadly(held: HeldJob, record: StoredJob, error: unknown): Promise<void> {
    const why: unknown = held.claim.signal.reason;
    if (error instanceof JobLostError || why === 'lost') return; // another's now: its message, too
    if (why === 'cancelled') return end(held, { $case: 'cancelled', cancelled: {} });
    if (error instanceof JobFailedError) return end(held, { $case: 'failed', failed: { reason: error.message } });
    if (why === 'shutdown') {
      await held.write((now) => released(now, { kind: 'shutdown' }), { forMs: goodbyeMs });
      return held.message().nak();
    }
    const text = error instanceof Error ? error.message : String(error);
    if (record.tries >= maxDeliver) {
      const reason = `given up after ${record.tries} tries: ${text}`;
      await queue.bury(kind, record.job.id, reason, record.job.spec);
      return end(held, { $case: 'failed', failed: { reason } });
    }
    await held.write((now) => released(now, { kind: 'trouble', text }));
    held.message().nak(Math.min(longestRestMs, retryMs * 2 ** record.tries));
  }

  /** The end first, then the ack: an ack that is lost brings the message to someone who sees that it has ended. */
  async function end(held: HeldJob, state: Parameters<typeof ended>[1]): Promise<void> {
    await held.write((now) => (hasEnded(now.job) ? undefined : ended(now, state)), {
      ...long,
      signal: closing.signal,
    });
    held.message().ack();
  }

  const idle = () => holding.size < concurrency;
  const sweeping = sweepJobs({ table, queue, events, kind, ackWaitMs, idle, signal: closing.signal });
  const slots = Array.from({ length: concurrency }, pull);
  return {
    async [Symbol.asyncDispose]() {
      stop();
      signal.removeEventListener('abort', stop);
      await Promise.all([...slots, sweeping]);
    },
  };
}

/** The next message; undefined when there was none for a while, or the signal aborted. */
async function nextOf(consumer: Consumer, signal: AbortSignal): Promise<JsMsg | undefined> {
  const messages: ConsumerMessages = await consumer.fetch({ max_messages: 1, expires: pullMs });
  const stop = () => messages.stop();
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  try {
    for await (const message of messages) return message;
    return undefined;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
