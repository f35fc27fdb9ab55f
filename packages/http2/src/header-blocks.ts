import { withoutPadding } from './frame-reader.js';
import { Http2Error, errorCode, flag } from './protocol.js';

const mostBlockBytes = 2 ** 16; // as it is sent
const mostFrames = 64;
const priorityBytes = 5;

/** Puts header blocks together that come as HEADERS and CONTINUATION. */
export interface HeaderBlocks {
  /** The stream whose block is not complete: only its CONTINUATION may come. */
  readonly open: number | undefined;
  onHeaders(flags: number, stream: number, payload: Buffer): void;
  onContinuation(flags: number, stream: number, payload: Buffer): void;
}

export function createHeaderBlocks(onBlock: (stream: number, block: Buffer, end: boolean) => void): HeaderBlocks {
  let open: number | undefined;
  let end = false;
  let parts: Buffer[] = [];
  let bytes = 0;

  function bound(): void {
    if (bytes <= mostBlockBytes && parts.length <= mostFrames) return;
    const bounds = `${mostBlockBytes} bytes or ${mostFrames} frames`;
    throw new Http2Error(errorCode.enhanceYourCalm, `headers of more than ${bounds}`);
  }

  return {
    get open() {
      return open;
    },
    onHeaders(flags, stream, payload) {
      const unpadded = flags & flag.padded ? withoutPadding(payload) : payload;
      const block = flags & flag.priority ? unpadded.subarray(priorityBytes) : unpadded;
      end = (flags & flag.endStream) !== 0;
      bytes = block.length;
      bound();
      if (flags & flag.endHeaders) return onBlock(stream, block, end);
      open = stream;
      parts = [Buffer.from(block)];
    },
    onContinuation(flags, stream, payload) {
      if (open !== stream) throw new Http2Error(errorCode.protocolError, 'CONTINUATION without HEADERS');
      parts.push(Buffer.from(payload));
      bytes += payload.length;
      bound();
      if (!(flags & flag.endHeaders)) return;
      open = undefined;
      onBlock(stream, Buffer.concat(parts), end);
      parts = [];
    },
  };
}
