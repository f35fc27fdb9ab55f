import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Transform, pipeline } from 'node:stream';
import type { Readable, TransformCallback } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { DatasetError } from './table.js';

/** A file's bytes, decompressed where they are gzip; errors out beyond `limit` bytes, so that no bomb goes off. */
export async function openContent(
  path: string,
  limit: number,
  range: { start: number; end?: number } = { start: 0 },
): Promise<Readable> {
  const raw = createReadStream(path, { ...range, highWaterMark: 2 ** 20 });
  const bounded = countUpTo(limit);
  const steps = (await isGzip(path, range.start))
    ? [raw, createGunzip({ chunkSize: 2 ** 18 }), bounded]
    : [raw, bounded];
  // whatever fails destroys the rest; readers see it at the last one
  return pipeline(steps, () => {}) as Transform;
}

/** What a reader of the content meets, in the words of a dataset. */
export function contentError(error: unknown): unknown {
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (!(code.startsWith('Z_') || code === 'ERR_STREAM_PREMATURE_CLOSE')) return error;
  return new DatasetError(`the content is damaged gzip: ${message}`, { cause: error });
}

async function isGzip(path: string, start: number): Promise<boolean> {
  await using file = await open(path);
  const { bytesRead, buffer } = await file.read(Buffer.alloc(2), 0, 2, start);
  return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
}

function countUpTo(limit: number): Transform {
  let seen = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      seen += chunk.length;
      if (seen > limit) done(new DatasetError(`the content has more than ${limit} bytes, wants at most that`));
      else done(null, chunk);
    },
  });
}
