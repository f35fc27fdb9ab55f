import type { events } from '@modelmill/contracts';

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
