import { Client, Metadata, credentials, status } from '@grpc/grpc-js';
import type { CallOptions as GrpcCallOptions } from '@grpc/grpc-js';
import { context, propagation } from '@opentelemetry/api';
import type { Method } from './method.js';
import { MillError, toMillError } from './mill-error.js';
import { onAbort } from './on-abort.js';
import { pauseAfter } from './pause.js';
import { isRetryable } from './retry.js';
import { twoWayStream } from './two-way-stream.js';
import { createUnaryCalls } from './unary-calls.js';

/** How one call is made. */
export interface CallOptions {
  /** Time for the call and its retries, in milliseconds. Unary calls have 30 s, uploads and downloads 10 min, watches no end. */
  readonly deadlineMs?: number | undefined;
  /** Cancels the call. */
  readonly signal?: AbortSignal | undefined;
  /** More headers to send. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** A connection to one gRPC server. */
export interface Channel extends AsyncDisposable {
  readonly address: string;
  /** The grpc-js client beneath the streams, for callers who forward bytes. */
  readonly raw: Client;
  /** Headers of a call made now: the key and the trace context. */
  metadata(more?: Readonly<Record<string, string>>): Metadata;
  /** One request, one response. A call that is `safe` to repeat is repeated while the server is unavailable. */
  unary<Q, S>(method: Method<Q, S>, request: Q, options?: CallOptions & { safe?: boolean }): Promise<S>;
  /** One request, many responses. Leaving the loop cancels the call. */
  serverStream<Q, S>(method: Method<Q, S>, request: Q, options?: CallOptions): AsyncIterable<S>;
  /** Many requests, one response. */
  clientStream<Q, S>(method: Method<Q, S>, requests: AsyncIterable<Q>, options?: CallOptions): Promise<S>;
  /** Many requests, many responses at the same time. Leaving the loop cancels the call. */
  twoWayStream<Q, S>(method: Method<Q, S>, requests: AsyncIterable<Q>, options?: CallOptions): AsyncIterable<S>;
}

export interface ChannelOptions {
  /** host:port of a gRPC server, such as `127.0.0.1:8081`. */
  readonly address: string;
  /** Sent as `authorization: Bearer <key>`. */
  readonly apiKey?: string | undefined;
}

const unaryDeadlineMs = 30_000;
const transferDeadlineMs = 600_000;

/** Connects lazily: the first call opens the connection. */
export function createChannel({ address, apiKey }: ChannelOptions): Channel {
  const raw = new Client(address, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_retries': 0, // retries are ours: grpc-js knows no safe calls
    'grpc.use_local_subchannel_pool': 1,
  });
  const calls = createUnaryCalls(address, raw);

  function metadata(more: Readonly<Record<string, string>> = {}): Metadata {
    const headers = new Metadata();
    if (apiKey) headers.set('authorization', `Bearer ${apiKey}`);
    propagation.inject(context.active(), headers, { set: (to, key, value: string) => to.set(key, value) });
    for (const [key, value] of Object.entries(more)) headers.set(key, value);
    return headers;
  }

  async function attemptUnary<Q, S>(
    method: Method<Q, S>,
    request: Q,
    deadline: Date,
    options: CallOptions,
  ): Promise<S> {
    const { signal } = options;
    const bytes = bytesOf(method, request);
    return answerOf(
      method,
      await calls.call(method.path, bytes, { metadata: metadata(options.metadata), deadline, signal }),
    );
  }

  return {
    address,
    raw,
    metadata,

    async unary(method, request, options = {}) {
      const deadline = new Date(Date.now() + (options.deadlineMs ?? unaryDeadlineMs));
      for (let attempt = 1; ; attempt++) {
        try {
          return await attemptUnary(method, request, deadline, options);
        } catch (error) {
          const again = isRetryable(error, { attempt, safe: options.safe ?? false });
          if (!again || options.signal?.aborted || deadline.getTime() < Date.now()) throw error;
          await pauseAfter(attempt, options.signal);
        }
      }
    },

    async *serverStream(method, request, options = {}) {
      const call = raw.makeServerStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        metadata(options.metadata),
        deadlineOf(options.deadlineMs),
      );
      const stopListening = onAbort(options.signal, () => call.cancel());
      call.on('error', () => {}); // the loop below throws it; this keeps a late one from ending the process
      try {
        for await (const message of call) yield message;
      } catch (error) {
        throw toMillError(error);
      } finally {
        stopListening();
        call.cancel();
      }
    },

    async clientStream<Q, S>(method: Method<Q, S>, requests: AsyncIterable<Q>, options: CallOptions = {}) {
      let end: (settled: { response: S } | { error: unknown }) => void = () => {};
      const answer = new Promise<{ response: S } | { error: unknown }>((resolve) => (end = resolve));
      const call = raw.makeClientStreamRequest<Q, S>(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        metadata(options.metadata),
        deadlineOf(options.deadlineMs ?? transferDeadlineMs),
        (error, response) => end(error || response === undefined ? { error: toMillError(error) } : { response }),
      );
      call.on('error', () => {}); // the callback tells
      const stopListening = onAbort(options.signal, () => call.cancel());
      const source = requests[Symbol.asyncIterator]();
      let answered = false;
      void answer.then(() => (answered = true));
      try {
        // A server that refuses early answers before the source has ended: then nothing more is read or sent.
        for (;;) {
          const next = await Promise.race([source.next(), answer]);
          if (answered || !('done' in next) || next.done) break;
          if (!call.write(next.value))
            await Promise.race([new Promise((drained) => call.once('drain', drained)), answer]);
        }
        call.end();
      } catch (error) {
        call.cancel(); // the source broke: the server must not take what was sent for the whole
        await answer;
        throw error;
      } finally {
        if (answered) void source.return?.();
      }
      const settled = await answer;
      stopListening();
      if ('error' in settled) throw settled.error;
      return settled.response;
    },

    twoWayStream: (method, requests, { deadlineMs, signal, metadata: more } = {}) =>
      twoWayStream(raw, method, { requests, metadata: metadata(more), options: deadlineOf(deadlineMs), signal }),

    async [Symbol.asyncDispose]() {
      raw.close();
      calls[Symbol.dispose]();
    },
  };
}

const deadlineOf = (deadlineMs: number | undefined): GrpcCallOptions =>
  deadlineMs === undefined ? {} : { deadline: new Date(Date.now() + deadlineMs) };

function bytesOf<Q, S>({ path, requestSerialize }: Method<Q, S>, request: Q): Buffer {
  try {
    return requestSerialize(request);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MillError(status.INTERNAL, `${path} was not asked: its request cannot be written: ${reason}`, { cause });
  }
}

function answerOf<Q, S>({ path, responseDeserialize }: Method<Q, S>, bytes: Buffer): S {
  try {
    return responseDeserialize(bytes);
  } catch (cause) {
    throw new MillError(status.INTERNAL, `${path} answered with bytes that are not its message`, { cause });
  }
}
