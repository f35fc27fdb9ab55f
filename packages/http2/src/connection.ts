import type { Duplex } from 'node:stream';
import { onInput } from '@modelmill/wire';
import { createAllowance } from './allowance.js';
import { createFrameReader } from './frame-reader.js';
import { createFrameWriter } from './frame-writer.js';
import { createHeaderBlocks } from './header-blocks.js';
import { HeaderBlockError, createHeaderDecoder } from './header-decoder.js';
import type { HeaderField } from './header-table.js';
import {
  Http2Error,
  defaultFrameBytes,
  defaultWindowBytes,
  errorCode,
  errorName,
  flag,
  frameType,
  mostWindowBytes,
  onlyUint32,
  preface,
  setting,
  uint32,
} from './protocol.js';
import { createSender } from './sender.js';
import { defaultSettings, readSettings, writeSettings } from './settings.js';
import { newStream } from './stream.js';
import type { Sending, Stream, StreamListener } from './stream.js';

export interface ConnectionOptions {
  /** Streams of the other end that may be open at a time. Default: none. */
  readonly mostStreams?: number;
  /** What a stream may send before it is credited. Default: 65,535. */
  readonly windowBytes?: number;
  /** The largest DATA frame that is taken. Default: 16,384. */
  readonly frameBytes?: number;
  /** What one header block may hold (name + value + 32 for each). Default: 16 KiB. */
  readonly headerBytes?: number;
  /** A server's: a request whose headers are here. The stream is refused where none is returned. */
  onStream?(stream: Stream, fields: readonly HeaderField[], end: boolean): StreamListener | undefined;
  /** Once, when nothing goes over the connection any more; `error` where that was not wanted. */
  onClose?(error: Error | undefined): void;
}

/** One end of an HTTP/2 connection (RFC 9113), without priorities and pushes. */
export interface Connection {
  /** A client's: opens a stream, or queues it where the server takes no more. Throws ConnectionEndingError. */
  request(block: Buffer, end: boolean, listener: StreamListener): Stream;
  /** Goes after the data that waits. */
  headers(stream: Stream, block: Buffer, end: boolean, whenSent?: () => void): void;
  /**
   * Sends as the windows allow, and keeps `bytes` until the system has taken them from a socket: after `whenSent`, and `whenTaken` says
   * so. Neither is called where they do not get there.
   */
  data(stream: Stream, bytes: Buffer, end: boolean, whenSent?: () => void, whenTaken?: () => void): void;
  /** So many bytes of the stream were used, or will be: as many more may come. */
  credit(stream: Stream, bytes: number): void;
  /** Ends the stream at once; its listener hears no more. */
  reset(stream: Stream, code: number): void;
  /** Opens and takes no more streams, and ends with the last one that is open. */
  drain(): void;
  destroy(error?: Error): void;
  /** Resolves when the other end has answered. */
  ping(): Promise<void>;
  /** When anything came last, as `performance.now()` has it. */
  readonly heardAt: number;
  readonly openStreams: number;
  /** Whether streams may be opened. */
  readonly usable: boolean;
}

/** The connection takes no more streams: what was asked for has not been begun. */
export class ConnectionEndingError extends Error {
  override readonly name = 'ConnectionEndingError';
}

const connectionWindowBytes = 8 * 2 ** 20;
const mostBacklogBytes = 6 * 2 ** 20; // above this, of which DATA is the least, the other end reads no answers to what it asks
const prefaceMs = 20_000;
const lingerMs = 1_000;
const longestLingerMs = 60_000; // for the last answers on a slow line
// as Node's own server takes them
const resetBurst = 1000;
const resetsPerSecond = 33;
// frames that carry nothing: enough for anybody who means well
const emptyBurst = 10_000;
const emptyPerSecond = 1000;

export function openServerConnection(socket: Duplex, options: ConnectionOptions): Connection {
  return openConnection(socket, true, options);
}

export function openClientConnection(socket: Duplex, options: ConnectionOptions = {}): Connection {
  return openConnection(socket, false, options);
}

function openConnection(socket: Duplex, isServer: boolean, options: ConnectionOptions): Connection {
  const {
    mostStreams = 0,
    windowBytes = defaultWindowBytes,
    frameBytes = defaultFrameBytes,
    headerBytes = 2 ** 14,
  } = options;
  const streams = new Map<number, Stream>();
  const unopened = new Map<Stream, { readonly block: Buffer; readonly end: boolean }>();
  const pings: (() => void)[] = [];
  const resets = createAllowance(resetBurst, resetsPerSecond);
  const empties = createAllowance(emptyBurst, emptyPerSecond);
  const decoder = createHeaderDecoder({ listBytes: headerBytes });
  const blocks = createHeaderBlocks(onBlock);
  const writer = createFrameWriter(socket, () => {
    sender.resumeAll();
    beginUnopened();
  });
  const peer = defaultSettings();
  const sender = createSender(writer, peer, endHere);
  let receiveWindow = connectionWindowBytes;
  let uncredited = 0;
  let lastId = isServer ? 0 : -1;
  let prefaceLeft = isServer ? preface.length : 0;
  let peerIsKnown = false;
  let draining = false;
  let heardAt = performance.now();
  let closed = false;

  const read = createFrameReader({ onData, onFrame }, frameBytes);
  const late = setTimeout(() => destroy(new Error('no HTTP/2 came in time')), prefaceMs).unref();

  // --- sending

  function send(stream: Stream, sending: Sending): void {
    if (!closed && !stream.endedHere) sender.send(stream, sending); // else it was reset meanwhile
  }

  function endHere(stream: Stream): void {
    stream.endedHere = true;
    if (!stream.endedThere && !isServer) return;
    if (!stream.endedThere) tellCode(frameType.rstStream, stream.id, errorCode.noError); // nobody wants the rest of the request
    forget(stream);
  }

  /** The other end has said all it has to say: a client need not say the rest either. */
  function afterEndThere(stream: Stream): void {
    if (stream.endedHere) forget(stream);
    else if (!isServer) reset(stream, errorCode.cancel);
  }

  function forget(stream: Stream): void {
    streams.delete(stream.id);
    sender.forget(stream);
    stream.endedHere = stream.endedThere = true;
    beginUnopened();
    if (draining && streams.size + unopened.size === 0) end();
  }

  function beginUnopened(): void {
    for (const [stream, { block, end }] of unopened) {
      if (!mayBegin()) return;
      unopened.delete(stream);
      begin(stream, block, end);
    }
  }

  /** Headers that the socket does not take wait, too: the connection would end for them. */
  const mayBegin = () => !closed && streams.size < peer.mostStreams && writer.backlog < mostBacklogBytes / 2;

  function begin(stream: Stream, block: Buffer, end: boolean): void {
    lastId += 2;
    stream.id = lastId;
    stream.sendWindow = peer.initialWindowBytes;
    streams.set(stream.id, stream);
    stream.waiting.unshift({ kind: 'headers', block, end });
    sender.resume(stream);
  }

  function control(type: number, flags: number, id: number, payload: Uint8Array): void {
    writer.frame(type, flags, id, payload);
    bound();
  }

  function bound(): void {
    if (writer.backlog > mostBacklogBytes) destroy(new Error('the other end does not read'));
  }

  const tellCode = (type: number, id: number, code: number) => control(type, 0, id, uint32(code));

  function end(error?: Error, code: number = errorCode.noError): void {
    if (closed) return;
    if (error) control(frameType.goaway, 0, 0, Buffer.concat([uint32(Math.max(lastId, 0)), uint32(code)]));
    writer.flush();
    close(error);
    const destroySoon = () => void setTimeout(() => socket.destroy(), lingerMs).unref();
    if (error)
      destroySoon(); // who breaks the protocol may not read either
    else setTimeout(() => socket.destroy(), longestLingerMs).unref();
    socket.end(destroySoon);
  }

  function close(error: Error | undefined): void {
    if (closed) return;
    closed = true;
    clearTimeout(late);
    const lost = error ?? new Error('the connection was closed');
    const open = [...streams.values(), ...unopened.keys()];
    streams.clear();
    unopened.clear();
    for (const stream of open) {
      if (isOver(stream)) continue;
      sender.forget(stream);
      stream.endedHere = stream.endedThere = true;
      stream.listener.onReset(stream.id > 0 ? errorCode.cancel : errorCode.refusedStream, lost);
    }
    for (const answered of pings.splice(0)) answered();
    options.onClose?.(error);
  }

  function destroy(error?: Error): void {
    close(error);
    socket.destroy();
  }

  // --- receiving

  function onData(id: number, piece: Buffer, flowBytes: number, ended: boolean): void {
    if (closed) return;
    if (blocks.open !== undefined) throw new Http2Error(errorCode.protocolError, 'DATA within a header block');
    receiveWindow -= flowBytes;
    if (receiveWindow < 0) throw new Http2Error(errorCode.flowControlError, 'more data than the connection’s window');
    uncredited += flowBytes;
    if (2 * uncredited >= connectionWindowBytes) {
      tellCode(frameType.windowUpdate, 0, uncredited);
      receiveWindow += uncredited;
      uncredited = 0;
    }
    const stream = streams.get(id);
    if (!stream) return void known(id);
    if (stream.endedThere) throw new Http2Error(errorCode.streamClosed, `DATA after the end of stream ${id}`);
    stream.receiveWindow -= flowBytes;
    if (stream.receiveWindow < 0) {
      throw new Http2Error(errorCode.flowControlError, `more data than the window of stream ${id}`);
    }
    if (flowBytes > piece.length) credit(stream, flowBytes - piece.length);
    if (piece.length === 0 && !ended) return spendEmpty();
    stream.endedThere = ended;
    stream.listener.onData(piece, ended);
    if (ended) afterEndThere(stream);
  }

  /** Frames of streams that are over may still come; of those that nobody opened, they may not. */
  function known(id: number): void {
    if (id % 2 === 0 || id > lastId) {
      throw new Http2Error(errorCode.protocolError, `a frame of stream ${id}, which is not open`);
    }
  }

  function spendEmpty(): void {
    if (!empties.take()) throw new Http2Error(errorCode.enhanceYourCalm, 'too many frames that carry nothing');
  }

  function onFrame(type: number, flags: number, id: number, payload: Buffer): void {
    if (closed) return;
    if (!peerIsKnown && type !== frameType.settings) {
      throw new Http2Error(errorCode.protocolError, 'the first frame has to be SETTINGS');
    }
    if (blocks.open !== undefined && type !== frameType.continuation) {
      throw new Http2Error(errorCode.protocolError, 'a frame within a header block');
    }
    switch (type) {
      case frameType.headers:
        return blocks.onHeaders(flags, id, payload);
      case frameType.continuation:
        return blocks.onContinuation(flags, id, payload);
      case frameType.rstStream:
        return onReset(id, payload);
      case frameType.settings:
        return onSettings(flags, id, payload);
      case frameType.ping:
        return onPing(flags, id, payload);
      case frameType.goaway:
        return onGoaway(payload);
      case frameType.windowUpdate:
        return onWindowUpdate(id, payload);
      case frameType.pushPromise:
        throw new Http2Error(errorCode.protocolError, 'pushes are not taken');
      default:
        return spendEmpty(); // PRIORITY, and what is not known
    }
  }

  function onBlock(id: number, block: Buffer, ended: boolean): void {
    const { fields, tooLarge } = decoder.decode(block); // always: the blocks after it stand on it
    const stream = streams.get(id);
    if (stream) return onMoreHeaders(stream, fields, tooLarge, ended);
    if (!isServer || id <= lastId) return known(id);
    if (id % 2 === 0) throw new Http2Error(errorCode.protocolError, `stream ${id} is not a client’s`);
    lastId = id;
    const opened = newStream(id, refusing, peer.initialWindowBytes, windowBytes);
    if (draining || streams.size >= mostStreams) return refuse(id, errorCode.refusedStream);
    if (tooLarge) return refuse(id, errorCode.enhanceYourCalm);
    opened.endedThere = ended;
    streams.set(id, opened);
    const listener = options.onStream?.(opened, fields, ended);
    if (listener) opened.listener = listener;
    else reset(opened, errorCode.refusedStream);
  }

  function refuse(id: number, code: number): void {
    spendReset();
    tellCode(frameType.rstStream, id, code);
  }

  function onMoreHeaders(stream: Stream, fields: readonly HeaderField[], tooLarge: boolean, ended: boolean): void {
    if (stream.endedThere || (isServer && !ended)) {
      throw new Http2Error(errorCode.protocolError, `HEADERS within or after stream ${stream.id}`);
    }
    if (tooLarge) return breakOff(stream, errorCode.enhanceYourCalm);
    stream.endedThere = ended;
    stream.listener.onHeaders(fields, ended);
    if (ended) afterEndThere(stream);
  }

  /** What the other end made us reset counts as what it reset itself. */
  function breakOff(stream: Stream, code: number): void {
    if (isServer) spendReset();
    const { listener } = stream;
    reset(stream, code);
    listener.onReset(code);
  }

  function onReset(id: number, payload: Buffer): void {
    const code = onlyUint32(payload);
    const stream = streams.get(id);
    if (!stream) return known(id);
    if (isServer) spendReset();
    const { listener } = stream;
    forget(stream);
    listener.onReset(code);
  }

  function spendReset(): void {
    if (!resets.take()) throw new Http2Error(errorCode.enhanceYourCalm, 'too many streams that were reset');
  }

  function onSettings(flags: number, id: number, payload: Buffer): void {
    if (id !== 0) throw new Http2Error(errorCode.protocolError, 'SETTINGS of a stream');
    if (flags & flag.ack) {
      if (payload.length > 0) throw new Http2Error(errorCode.frameSizeError, 'an ACK that says something');
      return;
    }
    if (peerIsKnown) spendEmpty();
    clearTimeout(late);
    const before = peer.initialWindowBytes;
    readSettings(payload, peer, !peerIsKnown);
    peerIsKnown = true;
    control(frameType.settings, flag.ack, 0, nothing);
    const change = peer.initialWindowBytes - before;
    if (change !== 0) changeWindows(change);
    beginUnopened();
  }

  function changeWindows(change: number): void {
    for (const stream of streams.values()) {
      stream.sendWindow += change;
      if (stream.sendWindow > mostWindowBytes) throw new Http2Error(errorCode.flowControlError, 'a window too large');
    }
    for (const stream of streams.values()) sender.resume(stream);
  }

  function onPing(flags: number, id: number, payload: Buffer): void {
    if (id !== 0) throw new Http2Error(errorCode.protocolError, 'PING of a stream');
    if (payload.length !== 8) throw new Http2Error(errorCode.frameSizeError, `a PING of ${payload.length} bytes`);
    if (flags & flag.ack) return pings.shift()?.();
    control(frameType.ping, flag.ack, 0, payload);
  }

  function onGoaway(payload: Buffer): void {
    if (payload.length < 8) throw new Http2Error(errorCode.frameSizeError, `a GOAWAY of ${payload.length} bytes`);
    draining = true;
    const last = payload.readUInt32BE(0) & 0x7fffffff;
    const code = payload.readUInt32BE(4);
    const ending = new ConnectionEndingError(`the other end goes away (${errorName(code)})`);
    const lost = isServer ? [] : [...streams.values()].filter(({ id }) => id > last);
    const unbegun = [...unopened.keys()];
    unopened.clear();
    for (const stream of [...lost, ...unbegun]) {
      const { listener } = stream;
      streams.delete(stream.id);
      sender.forget(stream);
      stream.endedHere = stream.endedThere = true;
      listener.onReset(errorCode.refusedStream, ending);
    }
    if (streams.size === 0) end();
  }

  function onWindowUpdate(id: number, payload: Buffer): void {
    const more = onlyUint32(payload) & 0x7fffffff;
    if (more === 0) throw new Http2Error(errorCode.protocolError, 'a WINDOW_UPDATE of nothing');
    if (id === 0) return sender.widen(more);
    const stream = streams.get(id);
    if (!stream) return known(id);
    stream.sendWindow += more;
    if (stream.sendWindow > mostWindowBytes) return breakOff(stream, errorCode.flowControlError);
    sender.resume(stream);
  }

  function credit(stream: Stream, bytes: number): void {
    if (stream.endedThere || closed) return;
    stream.uncredited += bytes;
    if (2 * stream.uncredited < windowBytes) return;
    stream.receiveWindow += stream.uncredited;
    tellCode(frameType.windowUpdate, stream.id, stream.uncredited);
    stream.uncredited = 0;
  }

  function reset(stream: Stream, code: number): void {
    if (closed || isOver(stream)) return;
    unopened.delete(stream);
    stream.endedHere = stream.endedThere = true; // its listener hears no more, should the connection end of this
    if (stream.id > 0) tellCode(frameType.rstStream, stream.id, code); // before a stream that takes its place
    forget(stream);
  }

  function takePreface(chunk: Buffer): Buffer {
    const size = Math.min(prefaceLeft, chunk.length);
    const at = preface.length - prefaceLeft;
    if (preface.compare(chunk, 0, size, at, at + size) !== 0) {
      throw new Http2Error(errorCode.protocolError, 'what came is no HTTP/2');
    }
    prefaceLeft -= size;
    return chunk.subarray(size);
  }

  onInput(socket, (chunk) => {
    if (closed) return;
    heardAt = performance.now();
    try {
      const bytes = prefaceLeft > 0 ? takePreface(chunk) : chunk;
      if (bytes.length > 0) read(bytes);
    } catch (error) {
      if (error instanceof HeaderBlockError) end(error, errorCode.compressionError);
      else if (error instanceof Http2Error) end(error, error.code);
      else end(new Http2Error(errorCode.internalError, String(error), { cause: error }), errorCode.internalError);
    }
  });
  socket.on('error', (error) => destroy(error));
  socket.on('end', () => destroy(streams.size > 0 ? new Error('the other end closed the connection') : undefined));
  socket.on('close', () => destroy(streams.size > 0 ? new Error('the connection was lost') : undefined));

  if (!isServer) writer.raw(preface);
  writer.frame(
    frameType.settings,
    0,
    0,
    writeSettings([
      ...(isServer ? [[setting.maxConcurrentStreams, mostStreams] as const] : [[setting.enablePush, 0] as const]),
      ...(windowBytes === defaultWindowBytes ? [] : [[setting.initialWindowSize, windowBytes] as const]),
      ...(frameBytes === defaultFrameBytes ? [] : [[setting.maxFrameSize, frameBytes] as const]),
      [setting.maxHeaderListSize, headerBytes],
    ]),
  );
  tellCode(frameType.windowUpdate, 0, connectionWindowBytes - defaultWindowBytes);

  return {
    request(block, end, listener) {
      if (closed || draining) throw new ConnectionEndingError('the connection takes no more requests');
      const stream = newStream(0, listener, peer.initialWindowBytes, windowBytes);
      if (mayBegin()) begin(stream, block, end);
      else unopened.set(stream, { block, end });
      return stream;
    },
    headers(stream, block, end, whenSent) {
      send(stream, { kind: 'headers', block, end, whenSent });
      bound();
    },
    data: (stream, bytes, end, whenSent, whenTaken) =>
      send(stream, { kind: 'data', bytes, at: 0, end, whenSent, whenTaken }),
    credit,
    reset,
    drain() {
      if (draining || closed) return;
      draining = true;
      if (isServer) control(frameType.goaway, 0, 0, Buffer.concat([uint32(Math.max(lastId, 0)), uint32(0)]));
      if (streams.size + unopened.size === 0) end();
    },
    destroy,
    ping() {
      if (closed) return Promise.resolve();
      control(frameType.ping, 0, 0, pingBytes);
      return new Promise((resolve) => pings.push(resolve));
    },
    get heardAt() {
      return heardAt;
    },
    get openStreams() {
      return streams.size + unopened.size;
    },
    get usable() {
      return !closed && !draining && lastId < mostWindowBytes - 2;
    },
  };
}

const isOver = ({ endedHere, endedThere }: Stream) => endedHere && endedThere;

const nothing = Buffer.alloc(0);
const pingBytes = Buffer.from('modelmil');
const refusing: StreamListener = { onHeaders() {}, onData() {}, onReset() {} };
