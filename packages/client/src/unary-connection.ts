import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { status } from '@grpc/grpc-js';
import {
  ConnectionEndingError,
  MessageGatherer,
  createAllowance,
  encodeHeaders,
  errorCode,
  errorName,
  framedMessage,
  hostAndPort,
  keepAlive,
  openClientConnection,
} from '@modelmill/http2';
import type { Allowance, Connection, HeaderField, Stream, StreamListener } from '@modelmill/http2';
import { letGo } from '@modelmill/wire';
import { MillError } from './mill-error.js';

/** A call that the server has not begun: it may be made elsewhere, whatever it does. */
export class NotBegunError extends Error {
  override readonly name = 'NotBegunError';
}

/** The connection was closed here. */
export class ClosedError extends NotBegunError {}

/** The connection ended, or could not be had. */
export class ConnectionLostError extends Error {
  override readonly name = 'ConnectionLostError';
}

export interface UnaryCallOptions {
  readonly deadline: Date | number;
  /** Its caller goes when it aborts. */
  readonly signal?: AbortSignal | undefined;
  /** Headers beside gRPC's own. */
  readonly headers: readonly HeaderField[];
  /** Nobody else is sent the request, or was: its memory goes with a good answer. */
  readonly sole?: boolean;
}

/**
 * Unary gRPC calls over one HTTP/2 connection, bytes in, bytes out. It connects when the first call is made, and again after the
 * connection was lost, and keeps the process alive while calls are under way.
 */
export interface UnaryConnection extends Disposable {
  /** Throws MillError with the server's status, NotBegunError or ConnectionLostError. */
  call(path: string, request: Buffer, options: UnaryCallOptions): Promise<Buffer>;
}

export interface UnaryConnectionOptions {
  /** Whether the other end is asked every 30 s if it is still there when there is nothing to do. */
  readonly pingsWhileIdle?: boolean;
}

interface Opened {
  readonly connection: Connection;
  readonly socket: Socket;
  calls: number;
  connected: boolean;
  readonly resets: Allowance;
}

const windowBytes = 8 * 2 ** 20; // what a server may send before it is read
const frameBytes = 2 ** 20;
const headerBytes = 2 ** 16;
// half of what our servers take before it ends a connection with every call on it
const resetBurst = 500;
const resetsPerSecond = 15;
const connectMs = 5_000;
const expiredMs = 1_000; // until a server that lets a deadline pass is told to stop

export function createUnaryConnection(address: string, options: UnaryConnectionOptions = {}): UnaryConnection {
  let open: Opened | undefined;
  let closed = false;
  const headersOf = new Map<string, Buffer>(); // by path, of which there are a few dozen

  function opened(): Opened {
    if (open?.connection.usable) return open;
    const socket = connect({ ...hostAndPort(address), noDelay: true }).unref();
    const connection = openClientConnection(socket, {
      windowBytes,
      frameBytes,
      headerBytes,
      onClose() {
        clearTimeout(late);
        alive[Symbol.dispose]();
      },
    });
    const alive = keepAlive(connection, { whileIdle: options.pingsWhileIdle ?? false });
    const late = setTimeout(() => connection.destroy(new Error('no connection in time')), connectMs).unref();
    const resets = createAllowance(resetBurst, resetsPerSecond);
    const made: Opened = { connection, socket, calls: 0, connected: false, resets };
    socket.once('connect', () => {
      clearTimeout(late);
      made.connected = true;
      if (made.calls === 0) socket.unref(); // of several addresses, each one tried has a handle of its own
    });
    open = made;
    return made;
  }

  function ownHeaders(path: string): Buffer {
    const known = headersOf.get(path);
    if (known) return known;
    const made = encodeHeaders([
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', path],
      [':authority', address],
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
      ['user-agent', 'modelmill'],
    ]);
    headersOf.set(path, made);
    return made;
  }

  return {
    call: (path, request, call) =>
      new Promise((resolve, reject) => {
        if (closed) throw new ClosedError('the connection is closed');
        new Call(opened(), ownHeaders(path), request, call, resolve, reject);
      }),
    [Symbol.dispose]() {
      closed = true;
      open?.connection.drain();
    },
  };
}

class Call implements StreamListener {
  readonly #on: Opened;
  readonly #stream: Stream;
  readonly #message = new MessageGatherer();
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #cancel = () => this.#cancelled();
  #httpStatus: string | undefined;
  #ended = false;
  #taken = false;

  constructor(
    on: Opened,
    ownHeaders: Buffer,
    private readonly request: Buffer,
    private readonly options: UnaryCallOptions,
    private readonly resolve: (answer: Buffer) => void,
    private readonly reject: (error: unknown) => void,
  ) {
    this.#on = on;
    const { deadline, headers, signal } = options;
    const leftMs = Number(deadline) - Date.now();
    const more = leftMs < Infinity ? [...headers, ['grpc-timeout', timeoutOf(leftMs)] as const] : headers;
    const block = more.length === 0 ? ownHeaders : Buffer.concat([ownHeaders, encodeHeaders(more)]);
    this.#stream = begun(on.connection, block, this);
    if (on.calls++ === 0) on.socket.ref();
    // the server knows the deadline, too, and ends the call by itself
    if (leftMs < 2 ** 31) this.#timer = setTimeout(() => this.#expired(), Math.max(leftMs, 0));
    signal?.addEventListener('abort', this.#cancel, { once: true });
    if (signal?.aborted) this.#cancelled();
    const pieces = framedMessage(request);
    const taken = () => void (this.#taken = true);
    pieces.forEach((piece, i) => {
      const isLast = i === pieces.length - 1;
      on.connection.data(this.#stream, piece, isLast, undefined, isLast ? taken : undefined);
    });
  }

  onHeaders(fields: readonly HeaderField[], end: boolean): void {
    this.#httpStatus ??= fields.find(([name]) => name === ':status')?.[1];
    if (end) this.#answered(fields);
  }

  onData(piece: Buffer, end: boolean): void {
    this.#on.connection.credit(this.#stream, piece.length);
    if (this.#ended) return;
    this.#message.add(piece);
    if (end) this.#answered([]);
  }

  onReset(code: number, cause?: Error): void {
    this.#end(this.#failureOf(code, cause));
  }

  #failureOf(code: number, cause: Error | undefined): Error {
    if (code === errorCode.refusedStream || !this.#on.connected) {
      return new NotBegunError('the call was not begun', { cause });
    }
    if (cause) return new ConnectionLostError(`the connection ended before an answer (${errorName(code)})`, { cause });
    return new MillError(statusOfReset[code] ?? status.INTERNAL, `the call was broken off (${errorName(code)})`);
  }

  #expired(): void {
    if (this.#isUnsent()) this.#on.connection.reset(this.#stream, errorCode.cancel);
    else setTimeout(() => this.#breakOff(), expiredMs).unref();
    this.#end(deadlinePassed());
  }

  /**
   * Its stream counts among those that the server takes, as long as that does not end it. It may run on over there for a while, for
   * nobody: better than that the calls of others are lost with the connection.
   */
  #breakOff(): void {
    const { endedHere, endedThere } = this.#stream;
    if (endedHere && endedThere) return;
    if (this.#on.resets.take()) this.#on.connection.reset(this.#stream, errorCode.cancel);
    else setTimeout(() => this.#breakOff(), expiredMs).unref();
  }

  /** It waits for its turn, as the server takes no more calls now. */
  #isUnsent(): boolean {
    return this.#stream.id === 0;
  }

  #cancelled(): void {
    if (this.#isUnsent()) this.#on.connection.reset(this.#stream, errorCode.cancel);
    else this.#breakOff();
    this.#end(new MillError(status.CANCELLED, 'the call was cancelled'));
  }

  #answered(trailers: readonly HeaderField[]): void {
    if (this.#ended) return;
    const code = trailers.find(([name]) => name === 'grpc-status')?.[1];
    if (code === undefined) return this.#end(withoutStatus(this.#httpStatus));
    if (code !== '0') {
      const message = trailers.find(([name]) => name === 'grpc-message')?.[1] ?? '';
      return this.#end(new MillError(Number(code), unescaped(message)));
    }
    if (!this.#message.isWhole() || this.#message.compressed) {
      return this.#end(new MillError(status.INTERNAL, 'the server answered with something else than one message'));
    }
    if (this.options.sole && this.#taken) letGo(this.request);
    this.#end(this.#message.take());
  }

  #end(outcome: Buffer | Error): void {
    if (this.#ended) return;
    this.#ended = true;
    if (--this.#on.calls === 0) this.#on.socket.unref();
    this.#message.clear();
    clearTimeout(this.#timer);
    this.options.signal?.removeEventListener('abort', this.#cancel);
    if (outcome instanceof Error) this.reject(outcome);
    else this.resolve(outcome);
  }
}

function begun(connection: Connection, block: Buffer, listener: StreamListener): Stream {
  try {
    return connection.request(block, false, listener);
  } catch (cause) {
    if (!(cause instanceof ConnectionEndingError)) throw cause;
    throw new NotBegunError('the call was not begun', { cause });
  }
}

const deadlinePassed = () => new MillError(status.DEADLINE_EXCEEDED, 'the deadline has passed');

const withoutStatus = (httpStatus: string | undefined) =>
  httpStatus === '200'
    ? new ConnectionLostError('the answer ended before its status')
    : new MillError(
        statusOfHttp[httpStatus ?? ''] ?? status.UNKNOWN,
        `the server answered with HTTP status ${httpStatus}`,
      );

/** What the end of a stream says, as gRPC's own clients take it; INTERNAL where nothing else is said. */
const statusOfReset: Readonly<Record<number, status>> = {
  [errorCode.cancel]: status.CANCELLED,
  [errorCode.enhanceYourCalm]: status.RESOURCE_EXHAUSTED,
};

/** What proxies say that know nothing of gRPC, as its own clients take it. */
const statusOfHttp: Readonly<Record<string, status>> = {
  '400': status.INTERNAL,
  '401': status.UNAUTHENTICATED,
  '403': status.PERMISSION_DENIED,
  '404': status.UNIMPLEMENTED,
  '429': status.UNAVAILABLE,
  '502': status.UNAVAILABLE,
  '503': status.UNAVAILABLE,
  '504': status.UNAVAILABLE,
};

/** gRPC's header has at most eight digits. */
function timeoutOf(ms: number): string {
  const whole = Math.max(Math.ceil(ms), 1);
  return whole < 1e8 ? `${whole}m` : `${Math.min(Math.ceil(whole / 1000), 99_999_999)}S`;
}

/** gRPC sends messages percent-encoded. */
function unescaped(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}
