import { Duplex } from 'node:stream';
import { status } from '@grpc/grpc-js';
import type { Metadata } from '@grpc/grpc-js';
import { MessageGatherer, errorCode, framedMessage } from '@modelmill/http2';
import type { Connection, HeaderField, Stream, StreamListener } from '@modelmill/http2';
import { answerBlock, failureBlock, failureTrailers, metadataOf, okBlock } from './call-headers.js';
import { CallTime } from './call-time.js';
import { unreadMs, windowBytes } from './unary-call.js';
import type { Answer, Failure, Method } from './unary-call.js';

/** An rpc with a stream of requests, of responses, or both, as the server's own door takes it. */
export interface StreamMethod extends Method {
  readonly kind: 'stream';
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  /** Where there is one response, it comes by `answer`. */
  readonly handle: (call: StreamCall, answer: Answer) => void;
}

const messagesAhead = 16; // that are read, or made, before anybody takes them

/**
 * One call with streams: requests are read from it, responses written to it, each no faster than the other side takes them. It is
 * what grpc-js gives to a handler, as far as this house's adapters use it. The event `error` ends it with a status.
 */
export class StreamCall extends Duplex implements StreamListener {
  request: unknown;
  cancelled = false;
  #metadata: Metadata | undefined;
  readonly #time = new CallTime(() => this.#expire());
  #over = false;
  #hasBegun = false;
  #failure: { readonly code: number; readonly details: string } | undefined;
  #message = new MessageGatherer();
  #messages = 0;
  /** Of messages that wait to be read: as many more may come when they are. */
  #uncredited = 0;

  constructor(
    readonly connection: Connection,
    readonly stream: Stream,
    readonly method: StreamMethod,
    readonly fields: readonly HeaderField[],
    readonly mostBytes: number,
    readonly peer: string,
  ) {
    super({ objectMode: true, highWaterMark: messagesAhead, emitClose: true });
    this.on('error', (failure: Failure) => this.#endWith(failure));
  }

  get metadata(): Metadata {
    return (this.#metadata ??= metadataOf(this.fields));
  }

  getPath(): string {
    return this.method.path;
  }

  getPeer(): string {
    return this.peer;
  }

  getDeadline(): number {
    return this.#time.deadline;
  }

  /** From `grpc-timeout`. */
  limitTo(timeout: string): void {
    if (this.#time.limitTo(timeout)) return;
    this.fail(status.INTERNAL, `grpc-timeout is '${timeout}', which is no timeout`);
  }

  #expire(): void {
    if (this.#over) return this.connection.reset(this.stream, errorCode.cancel); // what it answered is not taken
    this.#time.pass();
    this.fail(status.DEADLINE_EXCEEDED, 'the deadline has passed');
  }

  /** Calls the handler, where it need not wait for a request. */
  begin(): void {
    if (this.method.requestStream && !this.#over) this.#handle();
  }

  #handle(): void {
    try {
      this.method.handle(this, (failure, value) => this.#answer(failure, value));
    } catch {
      this.fail(status.UNKNOWN, 'internal error');
    }
  }

  #answer(failure: Failure | null, value: unknown): void {
    if (failure) this.#endWith(failure);
    else this.end(value);
  }

  /** After what was answered before. */
  #endWith({ code, details = 'internal error' }: Failure): void {
    this.#failure ??= { code: typeof code === 'number' ? code : status.UNKNOWN, details };
    this.end();
  }

  /** Ends the call at once with a status that is not OK, and tells its handler. */
  fail(code: number, details: string): void {
    if (!this.#end()) return;
    this.#sayFailure(code, details);
    this.#cancel();
    this.destroy();
  }

  #sayFailure(code: number, details: string): void {
    this.#sayEnd(this.#hasBegun ? failureTrailers(code, details) : failureBlock(code, details));
  }

  /** What was answered and is not read keeps its time limit. */
  #sayEnd(block: Buffer): void {
    this.connection.headers(this.stream, block, true, () => this.#time.clear());
    if (this.stream.waiting.length > 0) this.#time.atMost(unreadMs);
  }

  #cancel(): void {
    if (this.cancelled) return;
    this.cancelled = true;
    this.emit('cancelled');
  }

  #end(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#message.clear();
    this.request = undefined;
    return true;
  }

  onHeaders(_trailers: readonly HeaderField[], end: boolean): void {
    if (end) this.#requestsEnd();
  }

  onData(piece: Buffer, end: boolean): void {
    for (let at = 0; at < piece.length && !this.#over;) {
      const size = Math.min(this.#message.missing(piece, at), piece.length - at);
      this.#take(piece.subarray(at, at + size));
      at += size;
    }
    if (end) this.#requestsEnd();
  }

  /** A part of one message, which at most ends with it. */
  #take(part: Buffer): void {
    const message = this.#message;
    const isNews = message.length < 0;
    message.add(part);
    const { length, compressed } = message;
    const isLarge = 2 * (prefixBytes + length) > windowBytes;
    if (isNews && length >= 0) {
      if (compressed) return this.fail(status.INTERNAL, 'a request says that it is compressed, and not how');
      if (length > this.mostBytes) {
        const details = `Received message larger than max (${length} vs. ${this.mostBytes})`;
        return this.fail(status.RESOURCE_EXHAUSTED, details);
      }
      if (isLarge) this.#creditLarge(length);
    }
    if (!message.isWhole()) return;
    this.#message = new MessageGatherer();
    if (++this.#messages > 1 && !this.method.requestStream) {
      return this.fail(status.UNIMPLEMENTED, `${this.method.path} takes one message, and more came`);
    }
    this.#read(message.take(), isLarge ? prefixBytes : prefixBytes + length);
  }

  /** A message beyond the window has to be let in before it is here: where those before it are read. */
  #creditLarge(length: number): void {
    if (this.readableLength < messagesAhead) this.connection.credit(this.stream, length);
    else this.#uncredited += length;
  }

  #read(bytes: Buffer, flowBytes: number): void {
    let value: unknown;
    try {
      value = this.method.deserialize(bytes);
    } catch (error) {
      return this.fail(status.INTERNAL, `Error deserializing request: ${(error as Error).message}`);
    }
    if (!this.method.requestStream) this.request = value;
    else if (!this.push(value)) return void (this.#uncredited += flowBytes);
    this.connection.credit(this.stream, flowBytes);
  }

  override _read(): void {
    if (this.#uncredited === 0) return;
    this.connection.credit(this.stream, this.#uncredited);
    this.#uncredited = 0;
  }

  #requestsEnd(): void {
    if (this.#over) return;
    const { path, requestStream } = this.method;
    if (!this.#message.isEmpty()) return this.fail(status.INTERNAL, `a message for ${path} ended before its length`);
    if (requestStream) return void this.push(null);
    if (this.#messages === 0) return this.fail(status.UNIMPLEMENTED, `${path} takes one message, and none came`);
    this.push(null);
    this.#handle();
  }

  override _write(value: unknown, _encoding: BufferEncoding, taken: (error?: Error | null) => void): void {
    if (this.#over) return taken();
    let pieces: readonly Buffer[];
    try {
      pieces = framedMessage(this.method.serialize(value as never));
    } catch (error) {
      this.fail(status.INTERNAL, `Error serializing response: ${(error as Error).message}`);
      return taken();
    }
    this.#beginAnswer();
    pieces.forEach((piece, i) =>
      this.connection.data(this.stream, piece, false, i === pieces.length - 1 ? () => taken() : undefined),
    );
  }

  #beginAnswer(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.connection.headers(this.stream, answerBlock, false);
  }

  override _final(taken: (error?: Error | null) => void): void {
    const failure = this.#failure;
    if (!this.#over && failure) {
      this.#end();
      this.#sayFailure(failure.code, failure.details);
    } else if (!this.#over) {
      this.#beginAnswer();
      this.#end();
      this.#sayEnd(okBlock);
    }
    taken();
  }

  onReset(): void {
    this.#time.clear();
    if (!this.#end()) return;
    this.#cancel();
    this.destroy();
  }
}

const prefixBytes = 5;
