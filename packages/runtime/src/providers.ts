import { existsSync } from 'node:fs';
import { cudaLibrary } from './library-folder.js';

export type Provider = 'cuda' | 'webgpu' | 'cpu';

/** The execution providers whose libraries are installed; `cpu` always. Whether their device works shows at load. */
export function availableProviders(): Provider[] {
  return [...(existsSync(cudaLibrary) ? (['cuda'] as const) : []), 'webgpu', 'cpu'];
}

/** In order of preference: what was asked for and is present, or CUDA where it is; `cpu` comes last unless left out. */
export function chosenProviders(asked?: readonly Provider[]): Provider[] {
  const present = availableProviders();
  if (asked === undefined) return present.filter((provider) => provider !== 'webgpu');
  return asked.filter((provider) => present.includes(provider));
}
