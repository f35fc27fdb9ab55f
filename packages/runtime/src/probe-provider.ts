import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { addingModel } from './adding-model.js';
import { cudaLibrary } from './library-folder.js';
import { availableProviders } from './providers.js';
import type { Provider } from './providers.js';
import { startRunner } from './runner.js';
import { zeroInputs } from './zero-inputs.js';

/**
 * Why a provider cannot be used here, in words; undefined where it computes. Asks its device in a process of its own: a
 * driver may crash. `environment` is what that process inherits, such as LD_LIBRARY_PATH.
 */
export async function probeProvider(
  provider: Provider,
  environment: Readonly<Record<string, string>> = {},
): Promise<string | undefined> {
  if (provider === 'cpu') return undefined;
  if (!availableProviders().includes(provider)) return 'its libraries are not installed';
  const folder = await mkdtemp(join(tmpdir(), 'mill-probe-'));
  try {
    const path = join(folder, 'adding.onnx');
    await writeFile(path, addingModel());
    await using runner = await startRunner({ providers: [provider], environment });
    const { inputs } = await runner.load('probe', path);
    await runner.run('probe', zeroInputs(inputs));
    return undefined;
  } catch (error) {
    const said = error instanceof Error ? error.message.trim() : String(error);
    if (provider === 'cuda' && said.includes('Failed to load shared library'))
      return await withoutLibraries(said, environment);
    return noDevice.test(said) ? 'it finds no device' : said;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What ONNX Runtime says of a machine without one, on WebGPU and on CUDA. */
const noDevice = /WebGPU adapter|no CUDA-capable device|CUDA driver version is insufficient/;

/** ONNX Runtime says no more than that something is missing. */
async function withoutLibraries(said: string, environment: Readonly<Record<string, string>>): Promise<string> {
  const noLdd = () => ({ stdout: '' }); // then there is no more to say
  const { stdout } = await promisify(execFile)('/usr/bin/ldd', [cudaLibrary], { env: { ...environment } }).catch(noLdd);
  const missing = [...stdout.matchAll(/^\s*(\S+) => not found$/gm)].map(([, name]) => name!);
  if (missing.length === 0) return said;
  return `${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not found: LD_LIBRARY_PATH must name their folders`;
}
