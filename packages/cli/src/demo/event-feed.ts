import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '@nats-io/transport-node';
import { CliError } from '../cli-error.js';

/** An event as any NATS subscriber sees it: a subject and CloudEvents JSON. */
export interface HeardEvent {
  readonly subject: string;
  readonly time?: Date | undefined;
  readonly data?: unknown;
}

/** A plain NATS subscription to every event of a mesh. */
export interface EventFeed extends AsyncDisposable {
  /** Events heard, by the last part of their subject. */
  readonly counts: ReadonlyMap<string, number>;
  /** Resolves with an event, past or to come, of this subject below `mill.event.`; throws when it does not come in time. */
  heard(subject: string, withinMs: number): Promise<HeardEvent>;
}

/** Subscribes; `onEvent` hears every event as it arrives. */
export async function openEventFeed(
  natsUrl: string,
  signal: AbortSignal,
  onEvent: (event: HeardEvent) => void,
): Promise<EventFeed> {
  const nats = await connect({ servers: natsUrl, name: 'mill demo', maxReconnectAttempts: -1 });
  const past = new Map<string, HeardEvent>();
  const counts = new Map<string, number>();
  const waiting = new Map<string, (event: HeardEvent) => void>();
  nats.subscribe('mill.event.>', {
    callback: (error, message) => {
      if (error) return;
      const { time, data } = message.json<{ time?: string; data?: unknown }>();
      const event = { subject: message.subject, time: time === undefined ? undefined : new Date(time), data };
      const name = message.subject.replace(/^mill\.event\./, '');
      const what = name.slice(name.lastIndexOf('.') + 1);
      counts.set(what, (counts.get(what) ?? 0) + 1);
      if (what !== 'progress') past.set(name, event);
      onEvent(event);
      waiting.get(name)?.(event);
    },
  });
  await nats.flush(); // the server knows the subscription from here on: nothing is missed
  return {
    counts,
    async heard(subject, withinMs) {
      const before = past.get(subject);
      if (before) return before;
      const arrived = new Promise<HeardEvent>((resolve) => waiting.set(subject, resolve));
      const late = new AbortController();
      try {
        const ending = delay(withinMs, undefined, { signal: AbortSignal.any([signal, late.signal]) });
        const event = await Promise.race([arrived, ending]);
        if (event) return event;
        throw new CliError(`no event mill.event.${subject} within ${withinMs / 1000} s`);
      } finally {
        late.abort();
        waiting.delete(subject);
      }
    },
    [Symbol.asyncDispose]: () => nats.close(),
  };
}
