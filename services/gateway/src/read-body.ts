import type { IncomingMessage } from 'node:http';
import { finished } from 'node:stream';
import type { Readable } from 'node:stream';
import { types } from 'node:util';
import { createGunzip, createInflate } from 'node:zlib';
import { grown } from '@modelmill/wire';
import * as errors from './errors.js';

/** All of a request's body, decompressed. Refuses what is larger than the limit before it holds it. */
export async function readBody(request: IncomingMessage, maxBytes: number, idleMs: number): Promise<Buffer> {
  const length = Number(request.headers['content-length']);
  if (length > maxBytes) throw errors.bodyTooLarge(maxBytes);
  const isPlain = request.headers['content-encoding'] === undefined;
  if (isPlain && length <= besideBytes && (await isHere(request, length))) return wholeOf(request);
  const { source, refusal, release } = decompressed(request);
  const held = length >= 0 && source === request ? openMemory(length) : openHolder();
  let late: NodeJS.Timeout | undefined;
  const forget: (() => void)[] = [];
  try {
    // events, no iterator: a promise and a timer for each piece would take ten seconds for a million chunks of one byte
    await new Promise<void>((resolve, reject) => {
      const end = (error?: Error | null) => (error ? reject(error) : resolve());
      const take = (piece: Uint8Array) => {
        late?.refresh();
        if (held.bytes() + piece.byteLength <= maxBytes) return held.add(piece);
        source.pause();
        reject(errors.bodyTooLarge(maxBytes));
      };
      late = setTimeout(() => reject(errors.uploadStalled(idleMs)), idleMs);
      forget.push(finished(source, { writable: false }, end));
      if (source !== request) forget.push(finished(request, (error) => error && reject(error)));
      forget.push(() => void source.off('data', take));
      source.on('data', take);
    });
  } catch (error) {
    if (!types.isNativeError(error)) throw error;
    throw isGone(error) ? errors.callerGone(error) : refusal(error);
  } finally {
    clearTimeout(late);
    for (const each of forget) each();
    release();
  }
  return held.whole();
}

/** Most bodies up to this come with their headers. */
const besideBytes = 2 ** 14;

/** Whether all of it has come already: Node tells of the headers before it has read what came with them. */
async function isHere(request: IncomingMessage, length: number): Promise<boolean> {
  await undefined;
  return request.readableLength === length && !request.destroyed;
}

function wholeOf(request: IncomingMessage): Buffer {
  const whole = request.read() as Buffer | null;
  request.resume(); // to its end, which is told by itself
  return whole ?? Buffer.alloc(0);
}

interface Holder {
  bytes(): number;
  add(piece: Uint8Array): void;
  whole(): Buffer;
}

/** Of a body whose length is told, which Node holds it to: a piece is let go as soon as it has come. */
function openMemory(length: number): Holder {
  let memory: Buffer = Buffer.alloc(0);
  let used = 0;
  return {
    bytes: () => used,
    add(piece) {
      const bytes = used + piece.byteLength;
      memory = grown(memory, used, bytes, length);
      memory.set(piece, used);
      used = bytes;
    },
    whole: () => memory.subarray(0, used),
  };
}

const blockBytes = 64 * 1024;

/** Pieces as they came, but that small ones share blocks: a body in chunks of one byte would take 100 times its size. */
function openHolder(): Holder {
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
    add(piece) {
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

const isGone = (error: Error) =>
  'code' in error && (error.code === 'ECONNRESET' || error.code === 'ERR_STREAM_PREMATURE_CLOSE');

interface Decompressed {
  readonly source: Readable;
  /** What the caller is told of an error of the source. */
  readonly refusal: (cause: Error) => Error;
  readonly release: () => void;
}

function decompressed(request: IncomingMessage): Decompressed {
  const encoding = request.headers['content-encoding']?.toLowerCase() ?? 'identity';
  if (encoding === 'identity') return { source: request, refusal: (cause) => cause, release: () => {} };
  const inflate = encoding === 'gzip' ? createGunzip() : encoding === 'deflate' ? createInflate() : undefined;
  if (!inflate) throw errors.unknownEncoding(encoding);
  return {
    source: request.pipe(inflate),
    refusal: (cause) =>
      'code' in cause && String(cause.code).startsWith('Z_') ? errors.badEncoding(encoding, cause) : cause,
    release() {
      request.unpipe(inflate);
      request.resume(); // what came behind the end of what was compressed
      inflate.destroy();
    },
  };
}

/** Leaves the stream whole where the reader stops: the answer still goes out on its connection. */
export function chunksOf(stream: NodeJS.ReadableStream & { iterator?: unknown }): AsyncIterable<Uint8Array> {
  const readable = stream as IncomingMessage;
  return readable.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
}
