import type { JetStreamManager } from '@nats-io/jetstream';
import { headers } from '@nats-io/transport-node';
import { readCloudEvent, writeCloudEvent } from './cloud-event.js';
import type { ContextHeaders, Events, NewEvent } from './event.js';
import { followEvents } from './event-subscription.js';
import type { SubscriptionSource } from './event-subscription.js';
import { reach } from './reach.js';
import { eventStream } from './streams.js';
import { checkSubject, eventPrefix } from './subject-pattern.js';

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
