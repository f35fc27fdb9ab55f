import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export type Provider = 'cuda' | 'webgpu' | 'cpu';

const require = createRequire(import.meta.url);

/** The execution providers whose libraries are installed; `cpu` always. Whether their device works shows at load. */
export function availableProviders(): Provider[] {
  const library = join(dirname(require.resolve('onnxruntime-node')), '../bin/napi-v6', process.platform, process.arch);
  const cuda = existsSync(join(library, 'libonnxruntime_providers_cuda.so'));
  return [...(cuda ? (['cuda'] as const) : []), 'webgpu', 'cpu'];
}

/** In order of preference: what was asked for and is present, or CUDA where it is; `cpu` comes last unless left out. */
export function chosenProviders(asked?: readonly Provider[]): Provider[] {
  const present = availableProviders();
  if (asked === undefined) return present.filter((provider) => provider !== 'webgpu');
  return asked.filter((provider) => present.includes(provider));
}
