import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);

/** Where onnxruntime-node looks for its own libraries, CUDA's among them. */
export const libraryFolder = join(
  dirname(require.resolve('onnxruntime-node')),
  '../bin/napi-v6',
  process.platform,
  process.arch,
);

export const cudaLibrary = join(libraryFolder, 'libonnxruntime_providers_cuda.so');
