import type { FrameWriter } from './frame-writer.js';
import { Http2Error, defaultWindowBytes, errorCode, flag, frameType, mostWindowBytes } from './protocol.js';
import type { PeerSettings } from './settings.js';
import type { Sending, Stream } from './stream.js';

const mostBacklogBytes = 2 ** 20; // above this, streams wait for the socket
const mostFrameBytes = 2 ** 18; // others want to be heard between them, pings for one

/** What waits for the windows of its stream and of the connection, and for the socket, goes as they open. */
export interface Sender {
  send(stream: Stream, sending: Sending): void;
  /** The other end takes so many bytes more, of all streams together. Throws Http2Error. */
  widen(bytes: number): void;
  /** The stream's window, or the socket's backlog, has changed. */
  resume(stream: Stream): void;
  resumeAll(): void;
  forget(stream: Stream): void;
}

export function createSender(writer: FrameWriter, peer: PeerSettings, onEnd: (stream: Stream) => void): Sender {
  const blocked = new Set<Stream>();
  let window = defaultWindowBytes;

  /** Sends one part of what waits; false where nothing does, or nothing may go now. */
  function step(stream: Stream): boolean {
    const [first] = stream.waiting;
    if (!first) return false;
    if (first.kind === 'headers') {
      stream.waiting.shift();
      writer.headers(stream.id, first.block, first.end, Math.min(peer.frameBytes, mostFrameBytes));
      first.whenSent?.();
      if (first.end) onEnd(stream);
      return true;
    }
    const left = first.bytes.length - first.at;
    const size = Math.min(left, stream.sendWindow, window, peer.frameBytes, mostFrameBytes);
    if (left > 0 && (size <= 0 || writer.backlog >= mostBacklogBytes)) return false;
    const isLast = size === left;
    const endStream = isLast && first.end ? flag.endStream : 0;
    const payload = first.bytes.subarray(first.at, first.at + size);
    writer.frame(frameType.data, endStream, stream.id, payload, isLast ? first.whenTaken : undefined);
    first.at += size;
    stream.sendWindow -= size;
    window -= size;
    if (!isLast) return true;
    stream.waiting.shift();
    first.whenSent?.();
    if (first.end) onEnd(stream);
    return true;
  }

  function pump(stream: Stream): void {
    while (step(stream));
    note(stream);
  }

  /** Who waits for a window of its own hears of that one. */
  function note(stream: Stream): void {
    blocked.delete(stream);
    if (stream.waiting.length > 0 && stream.sendWindow > 0) blocked.add(stream);
  }

  /** In turns, a frame each: a large answer does not keep the others waiting. */
  function resumeAll(): void {
    for (let moved = true; moved;) {
      moved = false;
      for (const stream of [...blocked]) {
        if (window <= 0 || writer.backlog >= mostBacklogBytes) return;
        moved = step(stream) || moved;
        note(stream);
      }
    }
  }

  return {
    send(stream, sending) {
      stream.waiting.push(sending);
      if (stream.waiting.length === 1 && stream.id > 0) pump(stream);
    },
    widen(bytes) {
      window += bytes;
      if (window > mostWindowBytes) throw new Http2Error(errorCode.flowControlError, 'a window too large');
      resumeAll();
    },
    resume: pump,
    resumeAll,
    forget(stream) {
      blocked.delete(stream);
      stream.waiting.length = 0;
    },
  };
}
