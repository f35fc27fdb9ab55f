import { JobFailedError } from '@modelmill/store';
import { isFinal } from '../final-error.js';

/** What one side does for the other: names, and what each takes and gives. Values are structured clones. */
export type Calls = { readonly [name: string]: (asked: never) => unknown };

type Asked<C extends Calls, N extends keyof C> = Parameters<C[N]>[0];
type Given<C extends Calls, N extends keyof C> = Awaited<ReturnType<C[N]>>;

/** How the calls of one side are answered. */
export type Answers<C extends Calls> = {
  readonly [N in keyof C]: (asked: Asked<C, N>) => Promise<Given<C, N>> | Given<C, N>;
};

export type CallMessage =
  | { readonly kind: 'call'; readonly id: number; readonly name: string; readonly asked: unknown }
  | { readonly kind: 'answer'; readonly id: number; readonly given: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly reason: string; readonly isFinal: boolean };

/** What the other side stumbled over: another try may succeed. */
export class PassProcessError extends Error {
  override readonly name = 'PassProcessError';
}

/** One end of a channel over which both sides call each other. */
export interface CallEnd<Theirs extends Calls> {
  /** Throws JobFailedError where the other side failed for good, else PassProcessError. */
  call<N extends keyof Theirs & string>(name: N, asked: Asked<Theirs, N>): Promise<Given<Theirs, N>>;
  receive(message: CallMessage): void;
  /** Nobody will answer any more. */
  close(reason: unknown): void;
}

interface Waiting {
  resolve(given: unknown): void;
  reject(reason: unknown): void;
}

/** `send` takes what the other end's `receive` is to get; `onStumble` hears of errors whose stack may tell more. */
export function openCalls<Mine extends Calls, Theirs extends Calls>(
  send: (message: CallMessage) => void,
  answers: Answers<Mine>,
  onStumble: (error: unknown) => void = () => {},
): CallEnd<Theirs> {
  const waiting = new Map<number, Waiting>();
  let closed: { readonly reason: unknown } | undefined;
  let calls = 0;

  async function answer({ id, name, asked }: Extract<CallMessage, { kind: 'call' }>): Promise<void> {
    try {
      const given = await answers[name as keyof Mine](asked as never);
      send({ kind: 'answer', id, given });
    } catch (error) {
      if (!isFinal(error)) onStumble(error);
      const reason = error instanceof Error ? error.message : String(error);
      send({ kind: 'error', id, reason, isFinal: isFinal(error) });
    }
  }

  function settle(id: number, by: (one: Waiting) => void): void {
    const one = waiting.get(id);
    waiting.delete(id);
    if (one) by(one);
  }

  return {
    call: (name, asked) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(closed.reason as Error);
        const id = ++calls;
        waiting.set(id, { resolve: resolve as Waiting['resolve'], reject });
        send({ kind: 'call', id, name, asked });
      }),
    receive(message) {
      switch (message.kind) {
        case 'call':
          return void answer(message);
        case 'answer':
          return settle(message.id, ({ resolve }) => resolve(message.given));
        case 'error': {
          const { reason } = message;
          return settle(message.id, ({ reject }) =>
            reject(message.isFinal ? new JobFailedError(reason) : new PassProcessError(reason)),
          );
        }
      }
    },
    close(reason) {
      closed ??= { reason };
      for (const id of [...waiting.keys()]) settle(id, ({ reject }) => reject(closed!.reason));
    },
  };
}
