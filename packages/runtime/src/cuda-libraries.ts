import { createWriteStream } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { openPromise } from 'yauzl';
import type { ZipFile } from 'yauzl';
import { engineVersion } from './engine-version.js';
import { cudaLibrary, libraryFolder } from './library-folder.js';

/** CUDA counts as installed where its own is, so that one comes last. */
const libraries = ['libonnxruntime_providers_tensorrt.so', 'libonnxruntime_providers_shared.so', basename(cudaLibrary)];
const needed = libraries.slice(1);

/**
 * Takes ONNX Runtime's CUDA libraries out of a package that has them: the wheel `onnxruntime-gpu` or the NuGet package
 * `Microsoft.ML.OnnxRuntime.Gpu.Linux`, both of exactly this engine's version. All of them are put in place, or none.
 */
export async function installCudaLibraries(file: string): Promise<string[]> {
  const archive = await openPromise(file).catch((error: Error) => {
    throw new Error(`'${file}' is no package: ${error.message}`);
  });
  const folder = await mkdtemp(join(libraryFolder, '.installing-'));
  try {
    const { version, found } = await unpack(archive, folder);
    if (version !== engineVersion) {
      throw new Error(`'${file}' has ONNX Runtime ${version ?? 'of no version'}, wants ${engineVersion}`);
    }
    const missing = needed.filter((name) => !found.includes(name));
    if (missing.length > 0) throw new Error(`'${file}' has no ${missing.join(' and no ')}`);
    for (const name of libraries.filter((one) => found.includes(one))) {
      await rename(join(folder, name), join(libraryFolder, name));
    }
    return found;
  } finally {
    archive.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Writes the libraries, and reads the version that the package says it has. */
async function unpack(archive: ZipFile, folder: string) {
  const found: string[] = [];
  let version: string | undefined;
  for await (const entry of archive.eachEntry()) {
    const name = basename(entry.fileName);
    if (libraries.includes(name)) {
      await pipeline(await archive.openReadStreamPromise(entry), createWriteStream(join(folder, name)));
      found.push(name);
    } else if (name === 'METADATA' || name.endsWith('.nuspec')) {
      version ??= versionIn(await text(archive, entry));
    }
  }
  return { version, found };
}

async function text(archive: ZipFile, entry: Parameters<ZipFile['openReadStreamPromise']>[0]): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of await archive.openReadStreamPromise(entry)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** Of a wheel's METADATA or a NuGet package's specification. */
const versionIn = (said: string) => /^Version: *(\S+)|<version>([^<]+)<\/version>/m.exec(said)?.slice(1).find(Boolean);
