import type { RestAnswer } from './rest-request.js';

export interface SentEvent {
  readonly id?: string;
  readonly event?: string;
  readonly data: string;
}

const heartbeatMs = 15_000;

/** Server-sent events, with a comment now and then so that a silent connection is seen to live. */
export function eventStream(events: AsyncIterable<SentEvent>): RestAnswer {
  return {
    type: 'text/event-stream; charset=utf-8',
    headers: { 'cache-control': 'no-store', 'x-accel-buffering': 'no' },
    body: lines(events),
  };
}

async function* lines(events: AsyncIterable<SentEvent>): AsyncGenerator<string> {
  yield ': connected\n\n';
  const source = events[Symbol.asyncIterator]();
  let next = source.next();
  try {
    for (;;) {
      const heard = await Promise.race([next, silence()]);
      if (heard === 'silence') yield ': still here\n\n';
      else if (heard.done === true) return;
      else {
        const { id, event, data } = heard.value;
        yield `${id === undefined ? '' : `id: ${id}\n`}${event === undefined ? '' : `event: ${event}\n`}data: ${data}\n\n`;
        next = source.next();
      }
    }
  } finally {
    await source.return?.();
  }
}

const silence = () =>
  new Promise<'silence'>((resolve) => {
    setTimeout(() => resolve('silence'), heartbeatMs).unref();
  });
