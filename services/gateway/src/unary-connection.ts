import { connect, constants } from 'node:http2';
import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  IncomingHttpHeaders,
  IncomingHttpStatusHeader,
  OutgoingHttpHeaders,
} from 'node:http2';
import { status } from '@grpc/grpc-js';
import { RpcError } from '@modelmill/service-kit';

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
  readonly headers: OutgoingHttpHeaders;
}

/**
 * Unary gRPC calls over one HTTP/2 connection, bytes in, bytes out: what forwarding needs, and a third of the work that a
 * general client does per call. It connects when the first call is made, and again after the connection was lost.
 */
export interface UnaryConnection extends Disposable {
  /** Throws RpcError with the server's status, NotBegunError or ConnectionLostError. */
  call(path: string, request: Buffer, options: UnaryCallOptions): Promise<Buffer>;
}

interface Opened {
  readonly session: ClientHttp2Session;
  readonly resets: Allowance;
  connected: boolean;
}

const windowBytes = 8 * 2 ** 20; // what a replica may send before the gateway has read it
const pingMs = 30_000;
// half of what Node takes before it ends a connection with every call on it (streamResetBurst, streamResetRate)
const resetBurst = 500;
const resetsPerSecond = 15;
const pongMs = 10_000;
const connectMs = 5_000;

export function createUnaryConnection(address: string): UnaryConnection {
  let open: Opened | undefined;
  let closed = false;

  function opened(): Opened {
    if (open && !open.session.closed && !open.session.destroyed) return open;
    const opening = connect(`http://${address}`, {
      maxSessionMemory: Number.MAX_SAFE_INTEGER, // requests are bounded where they come in; here a bound would refuse calls
      settings: { initialWindowSize: windowBytes },
    });
    const made: Opened = { session: opening, resets: createAllowance(resetBurst, resetsPerSecond), connected: false };
    const forget = () => {
      if (open === made) open = undefined;
    };
    opening.on('error', forget); // each call under way hears of it by itself
    opening.on('goaway', forget);
    opening.on('close', forget);
    const late = setTimeout(() => opening.destroy(new Error('no connection in time')), connectMs);
    opening.once('connect', () => {
      clearTimeout(late);
      made.connected = true;
      opening.setLocalWindowSize(windowBytes);
      keepAlive(opening);
    });
    opening.once('close', () => clearTimeout(late));
    opening.unref();
    open = made;
    return made;
  }

  return {
    call: (path, request, options) =>
      new Promise((resolve, reject) => {
        if (closed) throw new NotBegunError('the connection is closed');
        callOn(opened(), path, request, options, resolve, reject);
      }),
    [Symbol.dispose]() {
      closed = true;
      open?.session.close();
    },
  };
}

/** A connection whose other end is gone without a word ends within `pingMs + pongMs`. */
function keepAlive(session: ClientHttp2Session): void {
  const timer = setInterval(() => {
    if (session.destroyed) return; // with its socket still full it closes later, and must not be pinged
    const late = setTimeout(() => session.destroy(new Error('no answer to a ping')), pongMs).unref();
    session.ping(() => clearTimeout(late));
  }, pingMs).unref();
  session.once('close', () => clearInterval(timer));
}

function callOn(
  on: Opened,
  path: string,
  request: Buffer,
  { deadline, signal, headers }: UnaryCallOptions,
  resolve: (answer: Buffer) => void,
  reject: (error: unknown) => void,
): void {
  const leftMs = Number(deadline) - Date.now();
  const stream = on.session.request({
    ...headers,
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...(leftMs < Infinity ? { 'grpc-timeout': timeoutOf(leftMs) } : {}),
  });

  const chunks: Buffer[] = [];
  let answered: AnswerHeaders | undefined;
  let trailers: IncomingHttpHeaders | undefined;
  let failure: Error | undefined;
  let ended = false;
  const end = (outcome: () => Buffer) => {
    if (ended) return;
    ended = true;
    clearTimeout(timer);
    signal.removeEventListener('abort', cancel);
    try {
      resolve(outcome());
    } catch (error) {
      reject(error);
    }
  };
  const fail = (error: RpcError) =>
    end(() => {
      throw error;
    });
  const cancel = () => {
    // without it the call runs to its end over there, for nobody: better than that the calls of others are lost
    if (on.resets.take()) stream.close(constants.NGHTTP2_CANCEL);
    fail(new RpcError(status.CANCELLED, 'the caller has gone away'));
  };
  // the server knows the deadline, too, and ends the call by itself
  const timer = leftMs < 2 ** 31 ? setTimeout(() => fail(deadlinePassed()), Math.max(leftMs, 0)) : undefined;
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) cancel();

  stream.on('response', (got) => (answered = got));
  stream.on('trailers', (got) => (trailers = got));
  stream.on('data', (chunk: Buffer) => void (ended || chunks.push(chunk)));
  stream.on('error', (error) => (failure = error));
  stream.on('close', () =>
    end(() => {
      if (!answered) throw unanswered(stream, failure, on.connected);
      return messageOf(answered, trailers ?? answered, chunks, failure);
    }),
  );
  if (request.length < copiedBytes) return void stream.end(framed(request));
  stream.cork(); // both in one write
  stream.write(prefixOf(request));
  stream.end(request);
}

interface Allowance {
  /** Whether one more may be had now. */
  take(): boolean;
}

function createAllowance(burst: number, perSecond: number): Allowance {
  let left = burst;
  let at = performance.now();
  return {
    take() {
      const now = performance.now();
      left = Math.min(left + ((now - at) / 1000) * perSecond, burst);
      at = now;
      if (left < 1) return false;
      left--;
      return true;
    },
  };
}

const deadlinePassed = () => new RpcError(status.DEADLINE_EXCEEDED, 'the deadline has passed');

/** gRPC's header has at most eight digits. */
function timeoutOf(ms: number): string {
  const whole = Math.max(Math.ceil(ms), 1);
  return whole < 1e8 ? `${whole}m` : `${Math.min(Math.ceil(whole / 1000), 99_999_999)}S`;
}

const prefixBytes = 5;

/** Below this, one piece of memory costs less than two. */
const copiedBytes = 2 ** 16;

/** A message as gRPC frames it: not compressed, its length, itself. */
const framed = (message: Buffer): Buffer => Buffer.concat([prefixOf(message), message]);

function prefixOf(message: Buffer): Buffer {
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(message.length, 1);
  return prefix;
}

function unanswered({ rstCode }: ClientHttp2Stream, cause: Error | undefined, connected: boolean): Error {
  if (!connected || rstCode === constants.NGHTTP2_REFUSED_STREAM)
    return new NotBegunError('the call was not begun', { cause });
  return new ConnectionLostError(`the connection ended before an answer (${constantOf(rstCode)})`, { cause });
}

const constantOf = (code: number | undefined) =>
  Object.entries(constants).find(([name, value]) => /^NGHTTP2_[A-Z_]+$/.test(name) && value === code)?.[0] ?? `${code}`;

type AnswerHeaders = IncomingHttpHeaders & IncomingHttpStatusHeader;

function messageOf(
  headers: AnswerHeaders,
  trailers: IncomingHttpHeaders,
  chunks: readonly Buffer[],
  cause: Error | undefined,
): Buffer {
  const code = trailers['grpc-status'];
  if (code === undefined) {
    const http = headers[':status'];
    if (http === 200) throw new ConnectionLostError('the answer ended before its status', { cause });
    throw new RpcError(status.UNKNOWN, `the replica answered with HTTP status ${http}`, { cause });
  }
  if (code !== '0') throw new RpcError(Number(code), unescaped(String(trailers['grpc-message'] ?? '')));
  const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  if (body.length < prefixBytes || body[0] !== 0 || body.readUInt32BE(1) !== body.length - prefixBytes) {
    throw new RpcError(status.INTERNAL, 'the replica answered with something else than one message');
  }
  return body.subarray(prefixBytes);
}

/** gRPC sends messages percent-encoded. */
function unescaped(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}
