import { createHash } from 'node:crypto';

/** Lower-case hex sha256 of a stream; a file is read twice, so that the server can refuse what changed on the way. */
export async function digestOf(content: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of content) hash.update(piece);
  return hash.digest('hex');
}
