import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFileArtifacts } from './artifacts.js';
import { DigestMismatchError, NotFoundError } from './errors.js';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'mill-artifacts-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const content = randomBytes(3_000_000);
const digest = createHash('sha256').update(content).digest('hex');
const files = () => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());

async function* pieces(bytes: Uint8Array, breaksOff = false) {
  for (let at = 0; at < bytes.length; at += 700_001) yield bytes.subarray(at, at + 700_001);
  if (breaksOff) throw new Error('the uploader went away');
}

async function joined(stream: AsyncIterable<Uint8Array>) {
  const all: Uint8Array[] = [];
  for await (const piece of stream) all.push(piece);
  return all;
}

it('gives back what was put, by every way of reading', async () => {
  const artifacts = await openFileArtifacts(folder);
  expect(await artifacts.put(pieces(content), digest)).toEqual({ sha256: digest, size: content.length });
  expect(await artifacts.put(content)).toEqual({ sha256: digest, size: content.length });
  expect(content.equals(await artifacts.read(digest))).toBe(true);
  expect(content.equals(readFileSync(await artifacts.path(digest)))).toBe(true);
  const streamed = await joined(artifacts.stream(digest));
  expect(content.equals(Buffer.concat(streamed))).toBe(true);
  expect(Math.max(...streamed.map((piece) => piece.length))).toBeLessThanOrEqual(2 ** 20);
  expect(files()).toHaveLength(1);
  await artifacts.remove(digest);
  expect(await artifacts.has(digest)).toBe(false);
  expect(files()).toHaveLength(0);
});

it('keeps an empty artifact', async () => {
  const artifacts = await openFileArtifacts(folder);
  const { sha256 } = await artifacts.put(new Uint8Array());
  expect(sha256).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  expect(await artifacts.read(sha256)).toHaveLength(0);
});

it('leaves nothing of an upload that breaks off', async () => {
  const artifacts = await openFileArtifacts(folder);
  await expect(artifacts.put(pieces(content, true))).rejects.toThrow('the uploader went away');
  expect(files()).toHaveLength(0);
});

it('leaves nothing of an upload with another digest than stated', async () => {
  const artifacts = await openFileArtifacts(folder);
  const wanted = '0'.repeat(64);
  await expect(artifacts.put(pieces(content), wanted)).rejects.toThrow(
    `the content's sha256 is ${digest}, wanted ${wanted}`,
  );
  expect(files()).toHaveLength(0);
});

it('finds a flipped bit before anyone reads it, and a new upload repairs it', async () => {
  const artifacts = await openFileArtifacts(folder);
  await artifacts.put(content);
  const path = await artifacts.path(digest);
  const damaged = Buffer.from(content);
  damaged[1_234_567]! ^= 0x10;
  writeFileSync(path, damaged);
  await expect(artifacts.path(digest)).rejects.toThrow(DigestMismatchError);
  await expect(artifacts.read(digest)).rejects.toThrow(DigestMismatchError);
  await expect(joined(artifacts.stream(digest))).rejects.toThrow(DigestMismatchError);
  await artifacts.put(content, digest);
  expect(await artifacts.path(digest)).toBe(path);
});

it('sweeps the uploads of processes that died, and not those that run', async () => {
  await openFileArtifacts(folder);
  const dead = join(folder, 'uploads', 'dead');
  writeFileSync(dead, 'half');
  writeFileSync(join(folder, 'uploads', 'running'), 'half');
  const hoursAgo = new Date(Date.now() - 2 * 3_600_000);
  utimesSync(dead, hoursAgo, hoursAgo);
  await openFileArtifacts(folder);
  expect(readdirSync(join(folder, 'uploads'))).toEqual(['running']);
});

it.each(['', '../../etc/passwd', 'abc', '0'.repeat(64), digest.toUpperCase()])('has no artifact %j', async (name) => {
  const artifacts = await openFileArtifacts(folder);
  await artifacts.put(content);
  await expect(artifacts.path(name)).rejects.toThrow(NotFoundError);
  await expect(artifacts.read(name)).rejects.toThrow(NotFoundError);
  await expect(joined(artifacts.stream(name))).rejects.toThrow(NotFoundError);
  expect(await artifacts.has(name)).toBe(false);
});

it('puts weights beside the ONNX file that names them, and finds what is damaged there', async () => {
  const artifacts = await openFileArtifacts(folder);
  const file = (sha256: string) => Buffer.from(`weights: ${sha256}`);
  const stored = await artifacts.putSplit(pieces(content), file);
  expect(stored).toMatchObject({ size: file(digest).length, data: { sha256: digest, size: content.length } });
  const path = await artifacts.modelPath(stored.sha256, digest);
  const beside = join(path, '..', digest);
  expect(content.equals(readFileSync(beside))).toBe(true);
  expect(await artifacts.putSplit(pieces(content), file)).toEqual(stored);
  expect(readdirSync(join(folder, 'uploads'))).toEqual([]);
  rmSync(beside); // such as by who copied artifacts from elsewhere
  await artifacts.modelPath(stored.sha256, digest);
  writeFileSync(beside, 'damaged');
  await expect(artifacts.modelPath(stored.sha256, digest)).rejects.toThrow(DigestMismatchError);
});
