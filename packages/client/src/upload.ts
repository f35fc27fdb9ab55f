import { createHash } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { MillError } from './mill-error.js';

/** Bytes to upload: whole, or in pieces of any size. */
export type Content = Uint8Array | AsyncIterable<Uint8Array>;

/** Servers take chunks of at most 4 MiB. */
const chunkBytes = 1024 * 1024;

/** Content cut into chunks, and the digest of what was read. */
export interface Upload {
  /** To state in the header; empty when the content is a stream whose digest the caller does not know. */
  readonly stated: string;
  chunks(): AsyncGenerator<Buffer, void, undefined>;
  /** Throws DATA_LOSS when the server stored other bytes than were read. */
  verify(storedSha256: string): void;
}

export function openUpload(content: Content, sha256: string | undefined): Upload {
  const whole = content instanceof Uint8Array;
  const hash = createHash('sha256');
  return {
    stated: sha256 ?? (whole ? createHash('sha256').update(content).digest('hex') : ''),
    async *chunks() {
      for await (const piece of whole ? [content] : content) {
        hash.update(piece);
        for (let at = 0; at < piece.length; at += chunkBytes) yield toBuffer(piece.subarray(at, at + chunkBytes));
      }
    },
    verify(stored) {
      const sent = hash.digest('hex');
      if (stored !== sent)
        throw new MillError(status.DATA_LOSS, `sent bytes with sha256 ${sent}, the server has ${stored}`);
    },
  };
}

/** Passes chunks on and throws DATA_LOSS at their end when their digest is not the stated one. */
export async function* verified(
  chunks: AsyncIterable<Uint8Array>,
  sha256: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash('sha256');
  for await (const chunk of chunks) {
    hash.update(chunk);
    yield chunk;
  }
  const got = hash.digest('hex');
  if (got !== sha256) throw new MillError(status.DATA_LOSS, `got bytes with sha256 ${got}, the version's is ${sha256}`);
}

const toBuffer = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
