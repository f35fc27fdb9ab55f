import { createHash } from 'node:crypto';
import { DigestMismatchError, isName } from '@modelmill/store';
import type { ArtifactRef, Artifacts } from '@modelmill/store';
import * as errors from './errors.js';

export interface UploadLimits {
  readonly maxBytes: number;
  /** Longest silence of the sender. */
  readonly idleMs: number;
}

const chunkBytes = 4 * 2 ** 20;

/** One message of an upload, whatever it uploads. */
type Content<Header> = { $case: 'header'; header: Header } | { $case: 'chunk'; chunk: Uint8Array } | undefined;

/** Reads the header, and leaves the chunks to be read. */
export async function openUpload<Header>(
  messages: AsyncIterable<{ content?: Content<Header> }>,
  { idleMs }: UploadLimits,
): Promise<{ header: Header; chunks: AsyncIterable<Uint8Array> }> {
  const source = impatient(messages, idleMs)[Symbol.asyncIterator]();
  const first = await source.next();
  if (first.done === true) throw errors.headerFirst('missing');
  const { content } = first.value;
  if (content?.$case !== 'header') throw errors.headerFirst(content ? 'a chunk' : 'empty');
  async function* chunks() {
    for (let next = await source.next(); next.done !== true; next = await source.next()) {
      const { content: piece } = next.value;
      if (piece?.$case !== 'chunk') throw errors.chunkWanted(piece ? 'a second header' : 'empty');
      if (piece.chunk.byteLength > chunkBytes) throw errors.chunkTooLarge(piece.chunk.byteLength, chunkBytes);
      yield piece.chunk;
    }
  }
  return { header: content.header, chunks: chunks() };
}

/** Passes on what comes and throws where nothing comes for too long. Lets go of the source when the reader stops. */
export async function* impatient<T>(source: AsyncIterable<T>, idleMs: number): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  let waits = true;
  try {
    for (;;) {
      let late: NodeJS.Timeout | undefined;
      const stalled = new Promise<never>((_, reject) => {
        late = setTimeout(() => reject(errors.uploadStalled(idleMs)), idleMs);
      });
      try {
        const next = await Promise.race([iterator.next(), stalled]);
        if (next.done === true) return;
        waits = false;
        yield next.value;
        waits = true;
      } finally {
        clearTimeout(late);
      }
    }
  } finally {
    // what is still waited for would be waited for here, too
    if (!waits) await iterator.return?.();
  }
}

export function checkName(what: string, name: string): void {
  if (!isName(name)) throw errors.badName(what, name);
}

/**
 * Stores what is uploaded and lets `register` decide on it. What was not there before and is refused is not there
 * afterwards.
 */
export async function storeUpload<T>(
  artifacts: Artifacts,
  chunks: AsyncIterable<Uint8Array>,
  sha256: string,
  { maxBytes }: UploadLimits,
  register: (stored: ArtifactRef, isNew: boolean) => Promise<T>,
): Promise<T> {
  if (!/^([0-9a-f]{64})?$/.test(sha256)) throw errors.badDigest(sha256);
  let known = true;
  async function* bounded() {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of chunks) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) throw errors.uploadTooLarge(maxBytes);
      hash.update(chunk);
      yield chunk;
    }
    known = await artifacts.has(hash.digest('hex')); // before the store learns that this was all
  }
  const stored = await put(artifacts, bounded(), sha256);
  try {
    return await register(stored, !known);
  } catch (error) {
    if (!known) await artifacts.remove(stored.sha256);
    throw error;
  }
}

async function put(artifacts: Artifacts, bytes: AsyncIterable<Uint8Array>, sha256: string): Promise<ArtifactRef> {
  try {
    return await artifacts.put(bytes, sha256);
  } catch (error) {
    if (error instanceof DigestMismatchError) throw errors.wrongDigest(error.message, error);
    if (error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')) {
      throw errors.diskFull(error);
    }
    throw error;
  }
}
