import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { learnCharacters } from './character-tokenizer.js';
import { learnBytePairs } from './learn-byte-pairs.js';
import { openTokenizer } from './open-tokenizer.js';
import { learnTokenizer, readTokens } from './text.js';
import { createCutter } from './text-pieces.js';
import type { Tokenizer } from './tokenizer.js';

const play = resolve(__dirname, '../../../../shared/data/tinyshakespeare/input.txt');
const text = 'the cat sat on the mat; the hat, the bat.\n  It’s 1234 o’clock — she said: “naïve 日本語 🙂🙃”\n'.repeat(
  3,
);
const kept = (tokenizer: Tokenizer) => openTokenizer(JSON.parse(JSON.stringify(tokenizer)));

describe.each([
  ['characters', (from: string) => learnCharacters([from])],
  ['byte pairs', (from: string) => learnBytePairs([from], 300)],
])('a tokenizer of %s', (_, learn) => {
  it('gives back the text it encoded, also when it was stored as JSON', () => {
    const tokenizer = learn(text);
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    expect(kept(tokenizer).encode(text)).toEqual(tokenizer.encode(text));
    expect(kept(tokenizer).size).toBe(tokenizer.size);
  });

  it('has bytes for every token, which make up the text', () => {
    const tokenizer = learn(text);
    expect(Buffer.concat([...tokenizer.encode(text)].map(tokenizer.bytesOf)).toString()).toBe(text);
  });

  it('refuses tokens it does not have', () => expect(() => learn(text).decode([99_999])).toThrow('got token 99999'));
});

describe('a tokenizer of characters', () => {
  it('numbers them in code point order', () => expect([...learnCharacters(['bca']).encode('abc')]).toEqual([0, 1, 2]));

  it('names a character it does not know and its place', () =>
    expect(() => learnCharacters(['abc']).encode('abx')).toThrow('character 3 is "x", wanted one of the 3 known'));
});

describe('a tokenizer of byte pairs', () => {
  it('merges the most frequent pair first, and of equals the one of smaller bytes', () => {
    // ab 5 times, then (ab)c 3 times
    const json = learnBytePairs(['ab ab abc abc abc'], 260).toJSON();
    expect(json).toEqual({
      kind: 'byte_pair',
      merges: [
        [97, 98], // ab: 5
        [32, 256], // ' ab': 4
        [257, 99], // ' abc': 3
      ],
    });
  });

  it('encodes bytes it never saw', () => {
    const tokenizer = learnBytePairs(['aaaa'], 300);
    expect(tokenizer.decode(tokenizer.encode('é🙂\u0000'))).toBe('é🙂\u0000');
  });

  it('gives U+FFFD for a character broken off', () => {
    const tokenizer = learnBytePairs(['aaaa'], 300);
    expect(tokenizer.decode(tokenizer.encode('é').subarray(0, 1))).toBe('\ufffd');
  });

  it('keeps its time on text without a blank', () => {
    const endless = 'ab'.repeat(500_000);
    const tokenizer = learnBytePairs([endless], 4096);
    expect(tokenizer.encode(endless).length).toBeLessThan(50_000);
  });

  it.each([256, 65_537, 1.5])('refuses a vocabulary of %d', (vocabulary) =>
    expect(() => learnBytePairs(['a'], vocabulary)).toThrow(`the vocabulary is ${vocabulary}, wanted 257 to 65536`),
  );

  it.each([
    null,
    { kind: 'words' },
    { kind: 'character', characters: ['ab'] },
    { kind: 'character', characters: ['a', 'a'] },
    { kind: 'byte_pair', merges: [[0, 256]] },
    { kind: 'byte_pair', merges: [[0, -1]] },
  ])('refuses %j as a stored tokenizer', (json) => expect(() => openTokenizer(json)).toThrow(/^got .*wanted/));
});

describe('a text file', () => {
  let folder: string;
  beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'mill-text-'))));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (content: string | Uint8Array) => {
    const path = join(folder, 'content');
    writeFileSync(path, content);
    return path;
  };
  const tokensOf = async (path: string, tokenizer: Tokenizer) => {
    const stream = await readTokens(path, tokenizer);
    const tokens = new Uint16Array(stream.length);
    stream.read(0, tokens);
    return tokens;
  };

  it('has the same tokens read in parts as in one piece, gzip or not', async () => {
    const long = text.repeat(2000);
    for (const spec of [{ kind: 'character' }, { kind: 'byte_pair', vocabulary: 500 }] as const) {
      const tokenizer = await learnTokenizer(file(long), spec);
      expect(await tokensOf(file(long), tokenizer)).toEqual(tokenizer.encode(long));
      expect(await tokensOf(file(gzipSync(long)), tokenizer)).toEqual(tokenizer.encode(long));
      const inMemory = spec.kind === 'character' ? learnCharacters([long]) : learnBytePairs([long], 500);
      expect(tokenizer.toJSON()).toEqual(inMemory.toJSON());
    }
  });

  it.each([
    `a${' '.repeat(500)}b${'x'.repeat(500)}  c`,
    `${'x'.repeat(3000)}${' '.repeat(3000)}${'é🙂'.repeat(1500)}`,
    text.repeat(5),
  ])('is cut into the same pieces wherever its parts end: %#', (blanks) => {
    const whole = createCutter();
    const parts = createCutter();
    const tokenizer = learnBytePairs([blanks + text], 400);
    const inParts = [...blanks].map((part) => parts.add(part)).concat(parts.rest());
    expect(inParts.flatMap((part) => [...tokenizer.encode(part)])).toEqual([...tokenizer.encode(blanks)]);
    expect(whole.add(blanks) + whole.rest()).toBe(blanks);
  });

  it.each([
    [Buffer.from([97, 0xff, 98]), 'bytes 1 to 3: got something else, wanted UTF-8 text'],
    [Buffer.from([97, 0xc3]), 'the last bytes'],
    [Buffer.from('a\0b'), 'got a NUL character'],
    [Buffer.alloc(0), 'got 0 characters'],
  ])('refuses %p', (content, reason) =>
    expect(learnTokenizer(file(content), { kind: 'character' })).rejects.toThrow(reason),
  );

  (existsSync(play) ? it : it.skip)('is a play in fewer tokens (skipped: needs ../shared/data)', async () => {
    const characters = await learnTokenizer(play, { kind: 'character' });
    expect(characters.size).toBe(65);
    const whole = readFileSync(play, 'utf8');
    const pairs = await learnTokenizer(play, { kind: 'byte_pair', vocabulary: 1024 });
    expect(pairs.size).toBe(1024);
    const tokens = await tokensOf(play, pairs);
    expect(pairs.decode(tokens)).toBe(whole);
    expect(tokens.length).toBeLessThan(whole.length / 2);
  });
});
