import type { events } from '@modelmill/contracts';
import type { EventStart, Store } from '@modelmill/store';

/** Events, on the store: until the caller goes away or the gateway stops. */
export function eventsCalls(store: Pick<Store, 'events'>, stopping: AbortSignal) {
  return {
    async *subscribe(
      { filters, start }: events.SubscribeRequest,
      signal: AbortSignal,
    ): AsyncGenerator<events.SubscribeResponse> {
      const until = AbortSignal.any([signal, stopping]);
      for await (const event of store.events.subscribe({ filters, start: startOf(start), signal: until })) {
        yield { event };
      }
    },
  };
}

export type EventsCalls = ReturnType<typeof eventsCalls>;

function startOf(start: events.SubscribeRequest['start']): EventStart {
  switch (start?.$case) {
    case 'afterSequence':
      return { kind: 'after', sequence: start.afterSequence };
    case 'since':
      return { kind: 'since', time: start.since };
    case undefined:
      return { kind: 'now' };
  }
}
