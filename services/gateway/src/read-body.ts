import type { IncomingMessage } from 'node:http';
import { createGunzip, createInflate } from 'node:zlib';
import * as errors from './errors.js';
import { impatient } from './uploads.js';

/** All of a request's body, decompressed. Refuses what is larger than the limit before it holds it. */
export async function readBody(request: IncomingMessage, maxBytes: number, idleMs: number): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw errors.bodyTooLarge(maxBytes);
  const held = openHolder();
  try {
    for await (const piece of impatient(decompressed(request), idleMs)) {
      if (held.bytes() + piece.byteLength > maxBytes) throw errors.bodyTooLarge(maxBytes);
      held.add(piece);
    }
  } catch (error) {
    throw error instanceof Error && 'code' in error && error.code === 'ECONNRESET' ? errors.callerGone(error) : error;
  }
  return held.whole();
}

const blockBytes = 64 * 1024;

/** Pieces as they came, but that small ones share blocks: a body in chunks of one byte would take 100 times its size. */
function openHolder() {
  const pieces: Uint8Array[] = [];
  let block = Buffer.alloc(0);
  let used = 0;
  let bytes = 0;

  function close() {
    if (used > 0) pieces.push(block.subarray(0, used));
    block = Buffer.alloc(0);
    used = 0;
  }

  return {
    bytes: () => bytes,
    add(piece: Uint8Array) {
      bytes += piece.byteLength;
      if (used + piece.byteLength > block.length) close();
      if (piece.byteLength >= blockBytes / 4) {
        close();
        pieces.push(piece);
        return;
      }
      if (block.length === 0) block = Buffer.allocUnsafeSlow(blockBytes);
      block.set(piece, used);
      used += piece.byteLength;
    },
    whole() {
      close();
      return Buffer.concat(pieces, bytes);
    },
  };
}

async function* decompressed(request: IncomingMessage): AsyncGenerator<Uint8Array> {
  const encoding = request.headers['content-encoding']?.toLowerCase() ?? 'identity';
  if (encoding === 'identity') return yield* chunksOf(request);
  const inflate = encoding === 'gzip' ? createGunzip() : encoding === 'deflate' ? createInflate() : undefined;
  if (!inflate) throw errors.unknownEncoding(encoding);
  try {
    yield* chunksOf(request.pipe(inflate));
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && String(cause.code).startsWith('Z_')) {
      throw errors.badEncoding(encoding, cause);
    }
    throw cause;
  } finally {
    request.unpipe(inflate);
    inflate.destroy();
  }
}

/** Leaves the stream whole where the reader stops: the answer still goes out on its connection. */
export function chunksOf(stream: NodeJS.ReadableStream & { iterator?: unknown }): AsyncIterable<Uint8Array> {
  const readable = stream as IncomingMessage;
  return readable.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
}
