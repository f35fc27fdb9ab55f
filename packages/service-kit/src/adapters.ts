import { setImmediate as nextTurn } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import type {
  Metadata,
  StatusObject,
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
} from '@grpc/grpc-js';
import type { HeaderField } from '@modelmill/http2';
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { RpcError, toStatus } from './rpc-error.js';
import type { Translate } from './rpc-error.js';
import type { Telemetry } from './telemetry.js';
import { beginSpan, inContext } from './trace-context.js';

export interface AdapterOptions extends Pick<Telemetry, 'log' | 'tracer' | 'calls'> {
  /** Errors of libraries that the caller may see. */
  readonly translate?: Translate | undefined;
}

/** What is known of a call beside its request. */
export interface CallContext {
  readonly metadata: Metadata;
  /** The same as it came, where it came by the door: `metadata` is made of it when it is asked for. */
  readonly fields?: readonly HeaderField[];
  getDeadline(): Date | number;
  getPath(): string;
  getPeer(): string;
}

interface Call extends CallContext {
  readonly cancelled: boolean;
  on(event: 'cancelled', listener: () => unknown): unknown;
}

/** Adapts an async function to grpc-js. The signal aborts when the caller goes away or the deadline passes. */
export function unary<Request, Response>(
  handle: (request: Request, signal: AbortSignal, call: CallContext) => Promise<Response>,
  options: AdapterOptions,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    void conduct(call, options, (signal) => handle(call.request, signal, call)).then((end) =>
      end.kind === 'answered' ? callback(null, end.value) : callback(end.status),
    );
  };
}

/** As `unary`, for a stream of requests. The stream throws where the caller broke off. */
export function clientStream<Request, Response>(
  handle: (requests: AsyncIterable<Request>, signal: AbortSignal, call: CallContext) => Promise<Response>,
  options: AdapterOptions,
): handleClientStreamingCall<Request, Response> {
  return (call, callback) => {
    void conduct(call, options, (signal) => handle(requestsOf<Request>(call), signal, call)).then((end) =>
      end.kind === 'answered' ? callback(null, end.value) : callback(end.status),
    );
  };
}

/** As `unary`, for a stream of responses: written no faster than the caller reads. */
export function serverStream<Request, Response>(
  handle: (request: Request, signal: AbortSignal, call: CallContext) => AsyncIterable<Response>,
  options: AdapterOptions,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    void conduct(call, options, (signal) => writeAll(call, handle(call.request, signal, call), signal)).then((end) =>
      finish(call, end),
    );
  };
}

/** As `unary`, for streams both ways. */
export function bidi<Request, Response>(
  handle: (requests: AsyncIterable<Request>, signal: AbortSignal, call: CallContext) => AsyncIterable<Response>,
  options: AdapterOptions,
): handleBidiStreamingCall<Request, Response> {
  return (call) => {
    const answers = (signal: AbortSignal) => handle(requestsOf<Request>(call), signal, call);
    void conduct(call, options, (signal) => writeAll(call, answers(signal), signal)).then((end) => finish(call, end));
  };
}

type CallEnd<T> = { kind: 'answered'; value: T } | { kind: 'failed'; status: Pick<StatusObject, 'code' | 'details'> };

/** The one place where an error becomes a status: with a span, a figure, and a log line for the unexpected. */
async function conduct<T>(
  call: Call,
  { log, tracer, calls, translate }: AdapterOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<CallEnd<T>> {
  const [, service = '', method = ''] = call.getPath().split('/');
  const attributes = { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method };
  const { span, within } = beginSpan(
    tracer,
    call.getPath().slice(1),
    { kind: SpanKind.SERVER, attributes },
    call.fields ?? call.metadata,
  );
  const began = performance.now();
  const ended = (code: status) => {
    const answer = status[code];
    calls.record((performance.now() - began) / 1000, { service, method, code: answer });
    span.setAttribute('rpc.grpc.status_code', code);
    if (code !== status.OK) span.setStatus({ code: SpanStatusCode.ERROR, message: answer });
    span.end();
  };

  const { signal, end } = signalOf(call);
  try {
    const value = await inContext(within, () => work(signal));
    end();
    ended(status.OK);
    return { kind: 'answered', value };
  } catch (error) {
    end();
    // what fails because the caller has gone is no news
    const cause: unknown = signal.aborted ? signal.reason : (translate?.(error) ?? error);
    if (!(cause instanceof RpcError)) {
      log.error({ err: error, method: call.getPath() }, 'unexpected');
      if (error instanceof Error) span.recordException(error);
    }
    const failed = toStatus(cause);
    ended(failed.code);
    return { kind: 'failed', status: failed };
  }
}

/** Aborts when the caller goes away before the end; grpc-js emits `cancelled` after every call. */
function signalOf(call: Call): { signal: AbortSignal; end: () => void } {
  const abort = new AbortController();
  let ended = false;
  call.on('cancelled', () => ended || abort.abort(goneError(call)));
  return { signal: abort.signal, end: () => void (ended = true) };
}

const goneError = (call: Call) =>
  Number(call.getDeadline()) <= Date.now()
    ? new RpcError(status.DEADLINE_EXCEEDED, 'the deadline has passed')
    : new RpcError(status.CANCELLED, 'the caller has gone away');

interface ReadableCall extends Call {
  readonly readableEnded: boolean;
  readonly destroyed: boolean;
  read(): unknown;
  on(event: 'readable' | 'end' | 'close' | 'cancelled', listener: () => unknown): unknown;
  on(event: 'error', listener: (error: Error) => unknown): unknown;
  off(event: string, listener: (error: Error) => unknown): unknown;
}

const changes = ['readable', 'end', 'close', 'cancelled'] as const;

/**
 * Not Node's own iterator: that destroys the stream when it fails, and so loses the status that has still to go out on it, as
 * the answers before it do.
 */
async function* requestsOf<Request>(call: ReadableCall): AsyncGenerator<Request> {
  let broken: Error | undefined;
  let wake = () => {};
  const changed = () => wake();
  const failed = (error: Error) => {
    broken = error;
    wake();
  };
  for (const event of changes) call.on(event, changed);
  call.on('error', failed);
  try {
    for (;;) {
      const request = call.read();
      if (request !== null) yield request as Request;
      else if (call.readableEnded) break;
      else if (call.cancelled) throw goneError(call);
      else if (broken || call.destroyed) throw broken ?? goneError(call);
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    for (const event of changes) call.off(event, changed);
    call.off('error', failed);
  }
  await nextTurn(); // grpc-js tells of the end first and of the cancellation that caused it afterwards
  if (call.cancelled) throw goneError(call);
}

interface WritableCall extends Call {
  readonly destroyed: boolean;
  write(message: unknown): boolean;
  once(event: 'drain' | 'close', listener: () => void): unknown;
  off(event: 'drain' | 'close', listener: () => void): unknown;
  end(): unknown;
  emit(event: 'error', failure: object): boolean;
}

async function writeAll(call: WritableCall, messages: AsyncIterable<unknown>, signal: AbortSignal): Promise<void> {
  for await (const message of messages) {
    if (signal.aborted) throw signal.reason;
    if (!call.write(message)) await drained(call, signal);
  }
}

const drained = (call: WritableCall, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const done = () => {
      call.off('drain', done);
      call.off('close', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    call.once('drain', done);
    call.once('close', done);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted || call.destroyed) done();
  });

function finish(call: WritableCall, end: CallEnd<void>): void {
  if (call.destroyed) return; // the caller went away, and has its status
  if (end.kind === 'answered') call.end();
  else call.emit('error', end.status);
}
