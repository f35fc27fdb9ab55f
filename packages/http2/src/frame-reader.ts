import { grown } from '@modelmill/wire';
import { Http2Error, errorCode, flag, frameHeaderBytes, frameType } from './protocol.js';

export interface FrameListener {
  /**
   * Bytes of a DATA frame, as they came and while they are told: a frame may come in several pieces. `flowBytes` is what they
   * take of the windows, `end` whether the stream ends with them.
   */
  onData(stream: number, piece: Buffer, flowBytes: number, end: boolean): void;
  /** Any other frame, whole. The payload stands while it is told. */
  onFrame(type: number, flags: number, stream: number, payload: Buffer): void;
}

const nothing: Buffer = Buffer.alloc(0);
/** Of frames that are told whole. */
const mostWholeBytes = 2 ** 17;

/** Takes bytes as they come from a socket, and tells the frames in them; keeps none of that memory. Throws Http2Error. */
export function createFrameReader(listener: FrameListener, mostBytes: number): (chunk: Buffer) => void {
  // what has come of a frame that is told whole, in memory that grows, and how much of it there has to be
  let kept = nothing;
  let keptBytes = 0;
  let neededBytes = frameHeaderBytes;
  // the DATA frame that is being told
  let stream = 0;
  let left = 0;
  let end = false;

  function gathered(chunk: Buffer): Buffer | undefined {
    if (keptBytes === 0) return chunk;
    keep(chunk);
    if (keptBytes < neededBytes) return undefined;
    const all = kept.subarray(0, keptBytes);
    kept = nothing;
    keptBytes = 0;
    return all;
  }

  function keep(chunk: Buffer): void {
    const bytes = keptBytes + chunk.length;
    kept = grown(kept, keptBytes, bytes, neededBytes);
    kept.set(chunk, keptBytes);
    keptBytes = bytes;
  }

  return (chunk) => {
    const bytes = gathered(chunk);
    if (!bytes) return;
    let at = 0;
    for (;;) {
      if (left > 0) {
        const size = Math.min(left, bytes.length - at);
        if (size === 0) return;
        left -= size;
        at += size;
        listener.onData(stream, bytes.subarray(at - size, at), size, end && left === 0);
        continue;
      }
      neededBytes = frameHeaderBytes;
      if (bytes.length - at < frameHeaderBytes) break;
      const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
      const type = bytes[at + 3]!;
      const flags = bytes[at + 4]!;
      const id = bytes.readUInt32BE(at + 5) & 0x7fffffff;
      const isPlainData = type === frameType.data && (flags & flag.padded) === 0;
      const most = isPlainData ? mostBytes : Math.min(mostBytes, mostWholeBytes);
      if (length > most) {
        throw new Http2Error(errorCode.frameSizeError, `a frame of ${length} bytes, at most ${most} are taken`);
      }
      if (isPlainData) {
        at += frameHeaderBytes;
        stream = id;
        left = length;
        end = (flags & flag.endStream) !== 0;
        if (length === 0) listener.onData(id, bytes.subarray(at, at), 0, end);
        continue;
      }
      neededBytes = frameHeaderBytes + length;
      if (bytes.length - at < neededBytes) break;
      const payload = bytes.subarray(at + frameHeaderBytes, at + neededBytes);
      at += neededBytes;
      if (type !== frameType.data) listener.onFrame(type, flags, id, payload);
      else listener.onData(id, withoutPadding(payload), length, (flags & flag.endStream) !== 0);
    }
    if (at === bytes.length) return;
    keep(bytes.subarray(at));
  };
}

/** What a frame with the flag `padded` carries. */
export function withoutPadding(payload: Buffer): Buffer {
  const padding = payload[0];
  if (padding === undefined || padding >= payload.length) {
    throw new Http2Error(errorCode.protocolError, 'a frame has more padding than bytes');
  }
  return payload.subarray(1, payload.length - padding);
}
