import type { IncomingMessage } from 'node:http';
import { createGunzip, createInflate } from 'node:zlib';
import * as errors from './errors.js';
import { impatient } from './uploads.js';

/** All of a request's body, decompressed. Refuses what is larger than the limit before it holds it. */
export async function readBody(request: IncomingMessage, maxBytes: number, idleMs: number): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw errors.bodyTooLarge(maxBytes);
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of impatient(decompressed(request), idleMs)) {
    bytes += piece.byteLength;
    if (bytes > maxBytes) throw errors.bodyTooLarge(maxBytes);
    pieces.push(piece);
  }
  return Buffer.concat(pieces, bytes);
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
