import { createHash } from 'node:crypto';
import { DigestMismatchError } from '@modelmill/store';
import type { Artifacts } from '@modelmill/store';
import { impatient, openUpload, storeUpload } from './uploads.js';

const limits = { maxBytes: 10, idleMs: 50 };
const digest = (text: string) => createHash('sha256').update(text).digest('hex');

async function* from<T>(...items: T[]) {
  yield* items;
}

type Message = Partial<typeof header | ReturnType<typeof chunk>>;

const header = { content: { $case: 'header' as const, header: 'the header' } };
const chunk = (text: string) => ({ content: { $case: 'chunk' as const, chunk: Buffer.from(text) } });

/** A store that keeps texts by digest, as the real one keeps files. */
function artifactsInMemory(kept = new Set<string>()): Artifacts & { kept: Set<string> } {
  const unused = () => Promise.reject(new Error('the test does not use it'));
  return {
    kept,
    async put(source, expected = '') {
      let text = '';
      for await (const piece of source as AsyncIterable<Uint8Array>) text += Buffer.from(piece).toString();
      const sha256 = digest(text);
      if (expected !== '' && expected !== sha256) throw new DigestMismatchError(sha256, expected);
      kept.add(sha256);
      return { sha256, size: text.length };
    },
    has: async (sha256) => kept.has(sha256),
    remove: async (sha256) => void kept.delete(sha256),
    path: unused,
    putSplit: unused,
    modelPath: unused,
    read: unused,
    stream: () => from(),
  };
}

describe('an upload', () => {
  it('begins with its header', async () => {
    const { header: read, chunks } = await openUpload(from<Message>(header, chunk('a'), chunk('b')), limits);
    const pieces: string[] = [];
    for await (const piece of chunks) pieces.push(String(piece));
    expect([read, ...pieces]).toEqual(['the header', 'a', 'b']);
  });

  it.each([
    ['nothing', [], /the first message is missing/],
    ['a chunk', [chunk('a')], /the first message is a chunk, wanted the header/],
    ['an empty message', [{}], /the first message is empty/],
  ])('is refused where it begins with %s', async (_, messages, problem) => {
    await expect(openUpload(from<Message>(...messages), limits)).rejects.toThrow(problem);
  });

  it('has one header', async () => {
    const { chunks } = await openUpload(from<Message>(header, header), limits);
    await expect(chunks[Symbol.asyncIterator]().next()).rejects.toThrow(/is a second header, wanted a chunk/);
  });

  it('may not fall silent', async () => {
    const silent = (async function* () {
      yield 1;
      await new Promise(() => {});
    })();
    const seen: number[] = [];
    const reading = (async () => {
      for await (const item of impatient(silent, 20)) seen.push(item);
    })();
    await expect(reading).rejects.toThrow('nothing of the upload came for 20 ms');
    expect(seen).toEqual([1]);
  });
});

describe('what is stored', () => {
  const bytes = (text: string) => from(Buffer.from(text));
  const refuse = () => Promise.reject(new Error('not a model'));

  it('is kept when it is registered', async () => {
    const artifacts = artifactsInMemory();
    expect(await storeUpload(artifacts, bytes('ok'), '', limits, async ({ size }) => size)).toBe(2);
    expect([...artifacts.kept]).toEqual([digest('ok')]);
  });

  it.each(['', digest('bad')])('is gone when it is refused (stated digest: "%s")', async (sha256) => {
    const artifacts = artifactsInMemory();
    await expect(storeUpload(artifacts, bytes('bad'), sha256, limits, refuse)).rejects.toThrow('not a model');
    expect(artifacts.kept.size).toBe(0);
  });

  it('stays when the same bytes were there before', async () => {
    const artifacts = artifactsInMemory(new Set([digest('csv')]));
    await expect(storeUpload(artifacts, bytes('csv'), '', limits, refuse)).rejects.toThrow('not a model');
    expect([...artifacts.kept]).toEqual([digest('csv')]);
  });

  it('is nothing where the digest is another, or none', async () => {
    const artifacts = artifactsInMemory();
    const store = (sha256: string) => storeUpload(artifacts, bytes('ok'), sha256, limits, async () => {});
    await expect(store(digest('other'))).rejects.toThrow(digest('other'));
    await expect(store('ABC')).rejects.toThrow("sha256 is 'ABC', wanted 64 lower-case hex characters");
    expect(artifacts.kept.size).toBe(0);
  });

  it('has a limit', async () => {
    const large = storeUpload(artifactsInMemory(), bytes('x'.repeat(11)), '', limits, async () => {});
    await expect(large).rejects.toMatchObject({ httpStatus: 413 });
  });
});
