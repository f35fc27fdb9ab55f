import type { JetStreamManager } from '@nats-io/jetstream';
import { headers } from '@nats-io/transport-node';
import type { events } from '@modelmill/contracts';
import { readCloudEvent, writeCloudEvent } from './cloud-event.js';
import { followEvents } from './event-subscription.js';
import type { SubscriptionSource } from './event-subscription.js';
import { reach } from './reach.js';
import { eventStream } from './streams.js';
import { checkSubject, eventPrefix } from './subject-pattern.js';

/** A fact to tell. */
export interface NewEvent {
  /** Below `mill.event.`: `model.digits.3.ready`. */
  readonly subject: string;
  readonly data: object;
  /** Its id. The same id again, within two minutes, is one event. */
  readonly msgId: string;
}

/** Where a subscription starts. */
export type EventStart =
  | { readonly kind: 'now' }
  | { readonly kind: 'after'; readonly sequence: bigint }
  | { readonly kind: 'since'; readonly time: Date };

export interface Subscription {
  /** Patterns below `mill.event.`, with NATS wildcards. Empty: all. */
  readonly filters: readonly string[];
  readonly start: EventStart;
  readonly signal: AbortSignal;
}

/** Facts that happened, replayable. */
export interface Events {
  /** Throws InvalidNameError. */
  publish(event: NewEvent): Promise<void>;
  /** In order, without gaps or repeats, also across a restart of NATS. Ends with the signal. Throws InvalidNameError. */
  subscribe(subscription: Subscription): AsyncIterable<events.Event>;
}

export type ContextHeaders = () => Readonly<Record<string, string>>;

export function createEvents(source: SubscriptionSource, replica: string, context: ContextHeaders): Events {
  return {
    async publish(event) {
      checkSubject(event.subject);
      const payload = writeCloudEvent(event, replica, new Date());
      const header = headers();
      header.set('content-type', 'application/cloudevents+json');
      for (const [name, value] of Object.entries(context())) header.set(name, value);
      const options = { msgID: event.msgId, headers: header };
      await reach(() => source.js.publish(`${eventPrefix}${event.subject}`, payload, options));
    },
    subscribe: (subscription) => followEvents(source, subscription),
  };
}

/** Whether the last event on its subject is this very one. */
export async function wasPublished(jsm: JetStreamManager, { subject, msgId }: NewEvent): Promise<boolean> {
  const last = await reach(() => jsm.streams.getMessage(eventStream, { last_by_subj: `${eventPrefix}${subject}` }));
  return last !== null && readCloudEvent(last.data, last.seq).id === msgId;
}
