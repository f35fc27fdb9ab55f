import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, link, mkdir, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DigestMismatchError, NotFoundError } from './errors.js';

export interface ArtifactRef {
  /** Lower-case hex. */
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** An ONNX file, and the one its weights lie in, where that is another. */
export interface ModelRef extends ArtifactRef {
  readonly data?: ArtifactRef;
}

type Source = Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Bytes named by their sha256. A missing one throws NotFoundError, a damaged one DigestMismatchError. */
export interface Artifacts {
  /**
   * Leaves nothing behind when the source breaks off, or throws DigestMismatchError when it is not what
   * `expectedSha256` says (empty: not checked). What is there already is replaced, and so repaired.
   */
  put(source: Source, expectedSha256?: string): Promise<ArtifactRef>;
  /** A model in two files: its weights, and the ONNX file, which names them by their digest and finds them beside itself. */
  putSplit(data: Source, file: (dataSha256: string) => Source): Promise<ModelRef>;
  /** Where it lies, verified now. */
  path(sha256: string): Promise<string>;
  /** As `path`, of an ONNX file whose weights, where they lie in another, are verified now, too. */
  modelPath(sha256: string, dataSha256?: string): Promise<string>;
  read(sha256: string): Promise<Uint8Array>;
  /** Pieces of at most 1 MiB, verified before the first. */
  stream(sha256: string): AsyncIterable<Uint8Array>;
  has(sha256: string): Promise<boolean>;
  remove(sha256: string): Promise<void>;
}

const digest = /^[0-9a-f]{64}$/;
const pieceBytes = 2 ** 20;
const staleMs = 3_600_000; // an upload that has not grown for so long has lost its process

/** Artifacts as files below a folder, which is made when it is missing; sweeps what broken uploads left in it. */
export async function openFileArtifacts(folder: string): Promise<Artifacts> {
  const root = resolve(folder);
  const uploads = join(root, 'uploads');
  await mkdir(uploads, { recursive: true });
  await sweep(uploads);

  const folderOf = (sha256: string) => join(root, 'sha256', sha256.slice(0, 2));
  const place = (sha256: string) => join(folderOf(sha256), sha256);

  async function path(sha256: string): Promise<string> {
    if (!digest.test(sha256)) throw missing(sha256);
    const at = place(sha256);
    const got = await digestOf(at).catch((error: unknown) => {
      throw isAbsent(error) ? missing(sha256) : error;
    });
    if (got !== sha256) throw new DigestMismatchError(got, sha256);
    return at;
  }

  async function put(source: Source, expectedSha256 = ''): Promise<ArtifactRef> {
    const upload = join(uploads, randomUUID());
    try {
      const ref = await write(upload, source);
      if (expectedSha256 !== '' && ref.sha256 !== expectedSha256) {
        throw new DigestMismatchError(ref.sha256, expectedSha256);
      }
      await mkdir(folderOf(ref.sha256), { recursive: true });
      await rename(upload, place(ref.sha256));
      await syncFolder(folderOf(ref.sha256));
      return ref;
    } finally {
      await rm(upload, { force: true });
    }
  }

  /** Gives weights a second name in the folder of their ONNX file: ONNX Runtime looks for them there, and nowhere else. */
  async function putBeside(dataSha256: string, fileSha256: string): Promise<void> {
    const folder = folderOf(fileSha256);
    if (folder === folderOf(dataSha256)) return;
    const upload = join(uploads, randomUUID());
    try {
      await link(place(dataSha256), upload);
      await mkdir(folder, { recursive: true });
      await rename(upload, join(folder, dataSha256));
      await syncFolder(folder);
    } finally {
      await rm(upload, { force: true }); // a rename over another name of the same file leaves both
    }
  }

  return {
    path,
    put,
    async putSplit(data, file) {
      const stored = await put(data);
      const named = await put(file(stored.sha256));
      await putBeside(stored.sha256, named.sha256);
      return { ...named, data: stored };
    },
    async modelPath(sha256, dataSha256) {
      if (dataSha256 !== undefined) {
        await path(dataSha256);
        await putBeside(dataSha256, sha256);
      }
      return path(sha256);
    },
    async read(sha256) {
      if (!digest.test(sha256)) throw missing(sha256);
      const bytes = await readFile(place(sha256)).catch((error: unknown) => {
        throw isAbsent(error) ? missing(sha256) : error;
      });
      const got = createHash('sha256').update(bytes).digest('hex');
      if (got !== sha256) throw new DigestMismatchError(got, sha256);
      return bytes;
    },
    async *stream(sha256) {
      yield* createReadStream(await path(sha256), { highWaterMark: pieceBytes });
    },
    async has(sha256) {
      if (!digest.test(sha256)) return false;
      return access(place(sha256)).then(
        () => true,
        () => false,
      );
    },
    async remove(sha256) {
      if (digest.test(sha256)) await rm(place(sha256), { force: true });
    },
  };
}

async function write(path: string, source: Source): Promise<ArtifactRef> {
  const hash = createHash('sha256');
  let size = 0;
  const file = await open(path, 'wx');
  try {
    for await (const piece of source instanceof Uint8Array ? [source] : source) {
      hash.update(piece);
      size += piece.byteLength;
      await file.writeFile(piece); // at the file's position, all of it
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { sha256: hash.digest('hex'), size };
}

/** A rename is on disk when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: pieceBytes })) hash.update(piece as Buffer);
  return hash.digest('hex');
}

async function sweep(uploads: string): Promise<void> {
  for (const name of await readdir(uploads)) {
    const path = join(uploads, name);
    const touched = await stat(path).catch(() => undefined); // another process may have finished it
    if (touched !== undefined && Date.now() - touched.mtimeMs > staleMs) await rm(path, { force: true });
  }
}

const missing = (sha256: string) => new NotFoundError(`artifact '${sha256.slice(0, 64)}' does not exist`);
const isAbsent = (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOENT';
