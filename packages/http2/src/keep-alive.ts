import type { Connection } from './connection.js';

const pingMs = 30_000;
const pongMs = 10_000;

/** A connection whose other end is gone without a word ends within 40 s. Disposed with the connection. */
export function keepAlive(connection: Connection): Disposable {
  const timer = setInterval(() => {
    const askedAt = performance.now();
    void connection.ping();
    // what else comes is an answer, too: on a slow line the ping waits behind what was sent before it
    setTimeout(() => {
      if (connection.heardAt < askedAt) connection.destroy(new Error('no answer to a ping'));
    }, pongMs).unref();
  }, pingMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
