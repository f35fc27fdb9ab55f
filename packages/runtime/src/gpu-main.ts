// What `mill gpu` does; it reads the command line after its own name.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join, dirname } from 'node:path';
import { installCudaLibraries } from './cuda-libraries.js';
import { deviceEnvironment } from './device-environment.js';
import { engineVersion } from './engine-version.js';
import { probeProvider } from './probe-provider.js';
import type { Provider } from './providers.js';

const require = createRequire(import.meta.url);
const providers: readonly Provider[] = ['cuda', 'webgpu', 'cpu'];
const [task, ...rest] = process.argv.slice(2);

if (task === 'check') await check(rest[0] === '--json');
else await install(rest[0]);

/** Each provider computes something, in a process of its own. */
async function check(asJson: boolean): Promise<void> {
  const results = [];
  for (const provider of providers) {
    const why = await probeProvider(provider, deviceEnvironment(process.env));
    results.push({ provider, works: why === undefined, ...(why === undefined ? {} : { why }) });
  }
  if (asJson) console.log(JSON.stringify({ engine: engineVersion, providers: results }, null, 2));
  else
    for (const { provider, why } of results)
      console.log(`${provider.padEnd(8)}${why ?? 'works'}${hint(provider, why)}`);
}

function hint(provider: Provider, why: string | undefined): string {
  return provider === 'cuda' && why === 'its libraries are not installed' ? ": './mill gpu install' brings them" : '';
}

/** Out of a package at hand, or by the engine's own script, which downloads it. */
async function install(file: string | undefined): Promise<void> {
  try {
    const here = `${process.platform}-${process.arch}`;
    if (here !== 'linux-x64') throw new Error(`ONNX Runtime has CUDA for linux-x64 alone, this is ${here}`);
    if (file === undefined) download();
    else console.log(`installed ${(await installCudaLibraries(file)).join(', ')}`);
  } catch (error) {
    console.error(`mill: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}

function download(): void {
  const script = join(dirname(require.resolve('onnxruntime-node')), '../script/install.js');
  const { status } = spawnSync(process.execPath, [script], {
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'cuda12' },
    stdio: 'inherit',
  });
  if (status === 0) return;
  throw new Error(
    `ONNX Runtime's script could not download CUDA's libraries (see above). Download the wheel 'onnxruntime-gpu' or the ` +
      `NuGet package 'Microsoft.ML.OnnxRuntime.Gpu.Linux', version ${engineVersion}, and name the file: mill gpu install FILE`,
  );
}
