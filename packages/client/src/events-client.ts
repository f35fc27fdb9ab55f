import { events } from '@modelmill/contracts';
import type { CallOptions, Channel } from './channel.js';
import { present } from './present.js';
import { reconnecting } from './reconnect.js';

export interface Subscription {
  /** Subject patterns below `mill.event.`, such as `model.digits.>`. Unset: all. */
  readonly filters?: readonly string[] | undefined;
  /** Unset: only what happens from now on. */
  readonly start?: events.SubscribeRequest['start'];
}

/** The mesh's events. */
export function createEventsClient(channel: Channel) {
  return {
    /** Events until the signal aborts or the loop is left; a broken connection resumes after the last one seen. */
    async *subscribe(
      { filters = [], start }: Subscription = {},
      options?: CallOptions,
    ): AsyncGenerator<events.Event, void, undefined> {
      const began = new Date();
      let opened = false;
      let from = start;
      const open = () => {
        // One who asked for "from now on" and lost the connection before the first event has missed what came since.
        if (opened) from ??= { $case: 'since', since: began };
        opened = true;
        return channel.serverStream(events.EventsService.subscribe, { filters: [...filters], start: from }, options);
      };
      for await (const answer of reconnecting(open, () => false, options?.signal)) {
        const event = present(answer.event, 'event');
        from = { $case: 'afterSequence', afterSequence: event.sequence };
        yield event;
      }
    },
  };
}

export type EventsClient = ReturnType<typeof createEventsClient>;
