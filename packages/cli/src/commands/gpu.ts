import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CliError } from '../cli-error.js';
import type { Cli, Command } from '../command.js';
import { pick, readArgs, words } from '../read-args.js';

export const gpu: Command = {
  name: 'gpu',
  summary: 'Says which devices ONNX Runtime computes on here, and brings its CUDA libraries.',
  usage: `mill gpu [check] [--json]
mill gpu install [FILE]

check lets CUDA and WebGPU add numbers and says what works, and why what does not; services use the providers
that MILL_PROVIDERS lists. LD_LIBRARY_PATH and VK_DRIVER_FILES say where libraries and drivers are, here and there.

install brings ONNX Runtime's CUDA libraries (linux-x64): by the engine's own script, for CUDA 12, or out of FILE, a
wheel of onnxruntime-gpu or a NuGet package Microsoft.ML.OnnxRuntime.Gpu.Linux of the engine's version. CUDA itself and
cuDNN are the system's. They lie in node_modules: install them again after the dependencies were.

  --json   one JSON object on stdout`,

  async run(args, cli) {
    const [task, rest] = pick({ check, install }, args);
    return task(rest, cli);
  },
};

function check(args: readonly string[], cli: Cli): number {
  const { values, positionals } = readArgs(args, { json: { type: 'boolean' } });
  words(positionals);
  return runGpu(cli, 'check', ...(values.json ? ['--json'] : []));
}

function install(args: readonly string[], cli: Cli): number {
  const { positionals } = readArgs(args, {});
  const [file] = words(positionals, 'FILE?');
  return runGpu(cli, 'install', ...(file === undefined ? [] : [resolve(cli.cwd, file)]));
}

/** The runtime's own program: the command line stands on the client alone. */
function runGpu({ root }: Cli, ...args: string[]): number {
  const entry = join(root, 'packages/runtime/dist/gpu-main.js');
  if (!existsSync(entry)) throw new CliError(`${entry} is not built: run './mill gpu'`);
  return spawnSync(process.execPath, [entry, ...args], { stdio: 'inherit' }).status ?? 1;
}
