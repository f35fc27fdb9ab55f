import { connect } from 'node:net';
import { status } from '@grpc/grpc-js';
import {
  ConnectionEndingError,
  MessageGatherer,
  createAllowance,
  encodeHeaders,
  errorCode,
  errorName,
  framedMessage,
  keepAlive,
  letGo,
  openClientConnection,
} from '@modelmill/http2';
import type { Allowance, Connection, HeaderField, Stream, StreamListener } from '@modelmill/http2';
import { RpcError, hostAndPort } from '@modelmill/service-kit';

/** A call that the server has not begun: it may be made elsewhere, whatever it does. */
export class NotBegunError extends Error {
  override readonly name = 'NotBegunError';
}

/** The connection ended, or could not be had. */
export class ConnectionLostError extends Error {
  override readonly name = 'ConnectionLostError';
}

export interface UnaryCallOptions {
  readonly deadline: Date | number;
  readonly signal: AbortSignal;
  /** Headers beside gRPC's own. */
  readonly headers: readonly HeaderField[];
  /** Nobody else is sent the request, or was: its memory goes with a good answer. */
  readonly sole?: boolean;
}

/**
 * Unary gRPC calls over one HTTP/2 connection, bytes in, bytes out: what forwarding needs, and a tenth of the work that a
 * general client does per call. It connects when the first call is made, and again after the connection was lost.
 */
export interface UnaryConnection extends Disposable {
  /** Throws RpcError with the server's status, NotBegunError or ConnectionLostError. */
  call(path: string, request: Buffer, options: UnaryCallOptions): Promise<Buffer>;
}

interface Opened {
  readonly connection: Connection;
  connected: boolean;
  readonly resets: Allowance;
}

const windowBytes = 8 * 2 ** 20; // what a replica may send before the gateway has read it
const frameBytes = 2 ** 20;
// half of what a replica takes before it ends a connection with every call on it
const resetBurst = 500;
const resetsPerSecond = 15;
const connectMs = 5_000;

export function createUnaryConnection(address: string): UnaryConnection {
  let open: Opened | undefined;
  let closed = false;
  const headersOf = new Map<string, Buffer>(); // by path, of which there are a few dozen

  function opened(): Opened {
    if (open?.connection.usable) return open;
    const socket = connect({ ...hostAndPort(address), noDelay: true }).unref();
    const connection = openClientConnection(socket, {
      windowBytes,
      frameBytes,
      onClose() {
        clearTimeout(late);
        alive[Symbol.dispose]();
      },
    });
    const alive = keepAlive(connection);
    const late = setTimeout(() => connection.destroy(new Error('no connection in time')), connectMs).unref();
    const made: Opened = { connection, connected: false, resets: createAllowance(resetBurst, resetsPerSecond) };
    socket.once('connect', () => {
      clearTimeout(late);
      made.connected = true;
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
    ]);
    headersOf.set(path, made);
    return made;
  }

  return {
    call: (path, request, options) =>
      new Promise((resolve, reject) => {
        if (closed) throw new NotBegunError('the connection is closed');
        new Call(opened(), ownHeaders(path), request, options, resolve, reject);
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
    // the server knows the deadline, too, and ends the call by itself
    if (leftMs < 2 ** 31) this.#timer = setTimeout(() => this.#expired(), Math.max(leftMs, 0));
    signal.addEventListener('abort', this.#cancel, { once: true });
    if (signal.aborted) this.#cancelled();
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
    const isBegun = code !== errorCode.refusedStream && this.#on.connected;
    this.#end(
      isBegun
        ? new ConnectionLostError(`the connection ended before an answer (${errorName(code)})`, { cause })
        : new NotBegunError('the call was not begun', { cause }),
    );
  }

  #expired(): void {
    if (this.#isUnsent()) this.#on.connection.reset(this.#stream, errorCode.cancel);
    this.#end(deadlinePassed());
  }

  /** It waits for its turn, as the server takes no more calls now. */
  #isUnsent(): boolean {
    return this.#stream.id === 0;
  }

  #cancelled(): void {
    // without it the call runs to its end over there, for nobody: better than that the calls of others are lost
    if (this.#isUnsent() || this.#on.resets.take()) this.#on.connection.reset(this.#stream, errorCode.cancel);
    this.#end(new RpcError(status.CANCELLED, 'the caller has gone away'));
  }

  #answered(trailers: readonly HeaderField[]): void {
    const code = trailers.find(([name]) => name === 'grpc-status')?.[1];
    if (code === undefined) return this.#end(withoutStatus(this.#httpStatus));
    if (code !== '0') {
      const message = trailers.find(([name]) => name === 'grpc-message')?.[1] ?? '';
      return this.#end(new RpcError(Number(code), unescaped(message)));
    }
    if (!this.#message.isWhole() || this.#message.compressed) {
      return this.#end(new RpcError(status.INTERNAL, 'the replica answered with something else than one message'));
    }
    if (this.options.sole && this.#taken) letGo(this.request);
    this.#end(this.#message.take());
  }

  #end(outcome: Buffer | Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#message.clear();
    clearTimeout(this.#timer);
    this.options.signal.removeEventListener('abort', this.#cancel);
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

const deadlinePassed = () => new RpcError(status.DEADLINE_EXCEEDED, 'the deadline has passed');

const withoutStatus = (httpStatus: string | undefined) =>
  httpStatus === '200'
    ? new ConnectionLostError('the answer ended before its status')
    : new RpcError(status.UNKNOWN, `the replica answered with HTTP status ${httpStatus}`);

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
