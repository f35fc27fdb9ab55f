import type { Connection } from './connection.js';

const pingMs = 30_000;
const pongMs = 10_000;

/**
 * A connection whose other end is gone without a word ends within 40 s. Disposed with the connection. `whileIdle`: also where no
 * stream is open; servers of others may take that amiss.
 */
export function keepAlive(connection: Connection, { whileIdle }: { readonly whileIdle: boolean }): Disposable {
  const timer = setInterval(() => {
    if (!whileIdle && connection.openStreams === 0) return;
    const askedAt = performance.now();
    void connection.ping();
    // what else comes is an answer, too: on a slow line the ping waits behind what was sent before it
    setTimeout(() => {
      if (connection.heardAt < askedAt) connection.destroy(new Error('no answer to a ping'));
    }, pongMs).unref();
  }, pingMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
