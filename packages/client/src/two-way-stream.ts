import type { CallOptions as GrpcCallOptions, Client, Metadata } from '@grpc/grpc-js';
import type { Method } from './method.js';
import { toMillError } from './mill-error.js';

/** How a call of many requests and many responses is made. */
export interface TwoWayCall<Q> {
  readonly requests: AsyncIterable<Q>;
  readonly metadata: Metadata;
  readonly options: GrpcCallOptions;
  readonly signal: AbortSignal | undefined;
}

/**
 * Sends requests while their responses are read, no faster than the server takes them. Leaving the loop cancels the call and
 * closes the source of the requests; a source that throws cancels it too, and the reader gets what it threw.
 */
export async function* twoWayStream<Q, S>(
  raw: Client,
  method: Method<Q, S>,
  { requests, metadata, options, signal }: TwoWayCall<Q>,
): AsyncGenerator<S, void, undefined> {
  const { path, requestSerialize, responseDeserialize } = method;
  const call = raw.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata, options);
  const cancel = () => call.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  if (signal?.aborted) cancel();
  let over = false;
  let wake = () => {};
  call.once('status', () => {
    over = true;
    wake();
  });
  call.on('error', () => {}); // the loop below throws it; this keeps a late one from ending the process

  const source = requests[Symbol.asyncIterator]();
  let broken: { readonly error: unknown } | undefined;
  /** Undefined where the call is over first. One promise for each wait: one for all would keep every wait until the end. */
  const untilOver = <T>(waited: Promise<T>) =>
    new Promise<T | undefined>((resolve, reject) => {
      wake = () => resolve(undefined);
      if (over) wake();
      waited.then(resolve, reject);
    });
  async function send() {
    for (;;) {
      const next = await untilOver(source.next());
      if (!next || next.done) break;
      if (!call.write(next.value)) await untilOver(new Promise((drained) => call.once('drain', drained)));
    }
    call.end();
  }
  void send().catch((error: unknown) => {
    broken = { error };
    cancel();
  });

  try {
    for await (const message of call) yield message as S;
  } catch (error) {
    throw broken ? broken.error : toMillError(error);
  } finally {
    signal?.removeEventListener('abort', cancel);
    cancel();
    // not awaited: a generator that waits for its next value takes the end of it after that
    void Promise.resolve(source.return?.()).catch(() => {});
  }
}
