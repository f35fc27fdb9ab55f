import type { Duplex } from 'node:stream';
import { flag, frameHeaderBytes, frameType } from './protocol.js';

export interface FrameWriter {
  /** `whenTaken`: when the system has all of it. */
  frame(type: number, flags: number, stream: number, payload: Uint8Array, whenTaken?: () => void): void;
  /** HEADERS, and CONTINUATION where the block is longer than a frame. */
  headers(stream: number, block: Uint8Array, end: boolean, frameBytes: number): void;
  /** Bytes as they are. */
  raw(bytes: Uint8Array): void;
  /** Bytes that the socket has not taken yet. */
  readonly backlog: number;
  /** Sends now what would be sent at the end of this turn. */
  flush(): void;
}

const slabBytes = 2 ** 16;
/** Up to this, bytes are copied beside others: one piece of memory costs less than two. */
const copiedBytes = 2 ** 13;

/** Writes what a turn of the event loop makes at once: a system call costs as much as a hundred frames. */
export function createFrameWriter(socket: Duplex, onTaken: () => void): FrameWriter {
  let slab = Buffer.allocUnsafeSlow(slabBytes);
  let from = 0; // of what is in the slab and not yet in `pieces`
  let to = 0;
  let pieces: Uint8Array[] = [];
  let gatheredBytes = 0;
  let awaited: (() => void)[] = [];
  let scheduled: NodeJS.Immediate | undefined;
  let takingBytes = 0;

  function room(bytes: number): void {
    if (to + bytes > slabBytes) {
      cut();
      slab = Buffer.allocUnsafeSlow(slabBytes);
      from = to = 0;
    }
    gatheredBytes += bytes;
    scheduled ??= setImmediate(flush);
  }

  function cut(): void {
    if (to > from) pieces.push(slab.subarray(from, to));
    from = to;
  }

  function put(bytes: Uint8Array): void {
    if (bytes.length <= copiedBytes) {
      room(bytes.length);
      slab.set(bytes, to);
      to += bytes.length;
    } else {
      cut();
      pieces.push(bytes);
      gatheredBytes += bytes.length;
    }
  }

  function frame(type: number, flags: number, stream: number, payload: Uint8Array, whenTaken?: () => void): void {
    const { length } = payload;
    room(frameHeaderBytes);
    slab[to] = length >>> 16;
    slab[to + 1] = length >>> 8;
    slab[to + 2] = length;
    slab[to + 3] = type;
    slab[to + 4] = flags;
    slab.writeUInt32BE(stream, to + 5);
    to += frameHeaderBytes;
    put(payload);
    if (whenTaken) awaited.push(whenTaken);
  }

  function flush(): void {
    if (scheduled) clearImmediate(scheduled);
    scheduled = undefined;
    cut();
    if (pieces.length === 0 || socket.destroyed) return;
    const sent = pieces; // what is written in memory may be answered, and go on from here, before its write returns
    const bytes = gatheredBytes;
    const hearing = awaited;
    pieces = [];
    gatheredBytes = 0;
    awaited = [];
    takingBytes += bytes;
    const taken = (error?: Error | null) => {
      takingBytes -= bytes;
      if (!error) for (const hear of hearing) hear();
      onTaken();
    };
    socket.cork();
    sent.forEach((piece, i) => (i < sent.length - 1 ? socket.write(piece) : socket.write(piece, taken)));
    socket.uncork();
  }

  return {
    frame,
    headers(stream, block, end, frameBytes) {
      const endStream = end ? flag.endStream : 0;
      if (block.length <= frameBytes) return frame(frameType.headers, endStream | flag.endHeaders, stream, block);
      frame(frameType.headers, endStream, stream, block.subarray(0, frameBytes));
      for (let at = frameBytes; at < block.length; at += frameBytes) {
        const last = at + frameBytes >= block.length;
        frame(frameType.continuation, last ? flag.endHeaders : 0, stream, block.subarray(at, at + frameBytes));
      }
    },
    raw: put,
    get backlog() {
      return takingBytes + gatheredBytes;
    },
    flush,
  };
}
