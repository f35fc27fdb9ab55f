import { setTimeout as sleep } from 'node:timers/promises';
import { DeliverPolicy } from '@nats-io/jetstream';
import type { ConsumerMessages, JetStreamClient, JetStreamManager } from '@nats-io/jetstream';
import type { events } from '@modelmill/contracts';
import { readCloudEvent } from './cloud-event.js';
import type { EventStart, Subscription } from './event.js';
import { reach } from './reach.js';
import { eventStream } from './streams.js';
import { checkPattern, eventPrefix, matches } from './subject-pattern.js';

export interface SubscriptionSource {
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  /** Calls when the connection came back. */
  onReconnect(call: () => void): Disposable;
}

type Position = { readonly kind: 'sequence'; readonly next: number } | { readonly kind: 'time'; readonly since: Date };

/** Events in order. A consumer that falters is replaced by one that begins after the last event that was seen. */
export async function* followEvents(
  { js, jsm, onReconnect }: SubscriptionSource,
  { filters, start, signal }: Subscription,
): AsyncGenerator<events.Event> {
  filters.forEach(checkPattern);
  let position = await positionOf(jsm, start);
  const patterns = filters.map((filter) => `${eventPrefix}${filter}`);
  const wanted = (subject: string) => patterns.length === 0 || patterns.some((pattern) => matches(pattern, subject));

  while (!signal.aborted) {
    let messages: ConsumerMessages | undefined;
    const stop = () => messages?.stop();
    using _reconnected = onReconnect(stop);
    signal.addEventListener('abort', stop);
    try {
      const consumer = await js.consumers.get(eventStream, {
        ...beginning(position),
        // 2.9 takes one filter per consumer: several are sieved here
        filter_subjects: patterns.length === 1 ? patterns[0]! : `${eventPrefix}>`,
        inactive_threshold: 60_000,
      });
      messages = await consumer.consume({ max_messages: 100, expires: 5_000, idle_heartbeat: 1_000 });
      if (signal.aborted) stop();
      void stopWhenSilent(messages);
      for await (const message of messages) {
        if (position.kind === 'sequence' && message.seq < position.next) continue; // repeats have been seen elsewhere
        position = { kind: 'sequence', next: message.seq + 1 };
        if (wanted(message.subject)) yield readCloudEvent(message.data, message.seq);
        if (signal.aborted) break;
      }
      void consumer.delete().catch(() => {}); // it would go by itself after inactive_threshold
    } catch (error) {
      if (isOurs(error)) throw error;
      await sleep(retryMs, undefined, { signal }).catch(() => {});
    } finally {
      signal.removeEventListener('abort', stop);
      messages?.stop();
    }
  }
}

const retryMs = 250;

async function stopWhenSilent(messages: ConsumerMessages): Promise<void> {
  for await (const status of messages.status()) {
    if (status.type === 'heartbeats_missed' && status.count >= 2) messages.stop();
    if (status.type === 'stream_not_found' || status.type === 'consumer_not_found') messages.stop();
  }
}

/** "Now" is a sequence, so that what happens while a consumer is replaced is not missed. */
async function positionOf(jsm: JetStreamManager, start: EventStart): Promise<Position> {
  if (start.kind === 'since') return { kind: 'time', since: start.time };
  const { state } = await reach(() => jsm.streams.info(eventStream));
  const end = state.last_seq + 1;
  if (start.kind === 'now') return { kind: 'sequence', next: end };
  // A position beyond the end is from a stream that is no more: what comes now is new to its owner.
  return { kind: 'sequence', next: start.sequence >= BigInt(end) ? end : Number(start.sequence) + 1 };
}

const beginning = (position: Position) =>
  position.kind === 'sequence'
    ? { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: position.next }
    : { deliver_policy: DeliverPolicy.StartTime, opt_start_time: position.since.toISOString() };

/** An event that cannot be read is a bug or damage, and no reason to try again. */
const isOurs = (error: unknown) =>
  error instanceof SyntaxError || (error instanceof Error && error.name === 'ZodError');
