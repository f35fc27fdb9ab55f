import { spawn } from 'node:child_process';
import { closeSync, rmSync } from 'node:fs';
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { openExchangeDescriptors } from './exchange-files.js';
import { chosenProviders } from './providers.js';
import type { RunnerOptions } from './runner-options.js';

const entry = fileURLToPath(new URL('../dist/runner-process.js', import.meta.url));
const startMs = 20_000;
// Node and ONNX Runtime reserve about 1 GiB of addresses before the first model
const reservedBytes = 3 * 2 ** 30;
/**
 * Weights go back to the system when they are freed, and tensors of 16 MiB stay for the next request. Left alone, glibc
 * raises its thresholds to the largest block ever freed and keeps the holes: a runner that had unloaded a model of 25 MB
 * held 390 to 510 MB. With 1 MiB it held 170 to 220, but answered with 16 MiB half as fast, for every page was new.
 */
const returnsMemory = { MALLOC_MMAP_THRESHOLD_: String(20 * 2 ** 20), MALLOC_TRIM_THRESHOLD_: String(64 * 2 ** 20) };

export interface RunnerExit {
  /** In words. */
  readonly reason: string;
  /** Whether SIGKILL ended it, which no request can send to itself. */
  readonly killed: boolean;
}

export interface RunnerProcess {
  readonly pid: number;
  readonly channel: Duplex;
  /** The exchange files' descriptors in this process, open until it has exited. */
  readonly exchange: readonly number[];
  readonly exited: Promise<RunnerExit>;
  kill(): void;
}

/**
 * A process with an empty working directory, no inherited environment, no core file and, on the CPU, a bound on its
 * address space: an allocation beyond it fails inside ONNX Runtime, which is an error instead of a dead process.
 */
export async function spawnRunnerProcess(options: RunnerOptions, memoryLimitBytes: number): Promise<RunnerProcess> {
  const { providers, threads = 1, environment = {} } = options;
  const onlyCpu = chosenProviders(providers).every((provider) => provider === 'cpu'); // devices map addresses at will
  const addressKiB = Math.ceil((memoryLimitBytes + reservedBytes) / 1024);
  const limits = ['ulimit -c 0', ...(onlyCpu ? [`ulimit -v ${addressKiB}`] : [])].join('; ');
  const directory = await mkdtemp(join(tmpdir(), 'mill-runner-'));
  await chmod(directory, 0o500);
  const exchange = openExchangeDescriptors() ?? [];
  const settings = JSON.stringify({ providers: providers ?? null, threads, exchange: exchange.map((_, i) => 4 + i) });

  const child = spawn('/bin/sh', ['-c', `${limits}; exec "$0" "$@"`, process.execPath, entry, settings], {
    cwd: directory,
    env: { ORT_DISABLE_TELEMETRY: '1', ...returnsMemory, ...environment },
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', ...exchange],
  });
  const exited = new Promise<RunnerExit>((resolve) => {
    child.once('error', (error) =>
      resolve({ reason: `the runner could not be started: ${error.message}`, killed: false }),
    );
    child.once('exit', (code, signal) =>
      resolve({ reason: `the runner ended with ${signal ?? `code ${code}`}`, killed: signal === 'SIGKILL' }),
    );
  }).then((exit) => {
    // at once: whoever still wrote to these descriptors would write to what has them next
    exchange.forEach((descriptor) => closeSync(descriptor));
    removeFolder(directory);
    return exit;
  });
  const channel = child.stdio[3] as Duplex;
  const kill = () => void child.kill('SIGKILL');

  const late = setTimeout(kill, startMs);
  const greeting = new Promise<'ready'>((resolve) => channel.once('readable', () => resolve('ready')));
  const first = await Promise.race([greeting, exited]);
  clearTimeout(late);
  if (first !== 'ready') throw new Error(first.reason);
  if (child.pid === undefined) throw new Error('the runner has no process id');
  return { pid: child.pid, channel, exchange, exited, kill };
}

function removeFolder(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // an empty folder stays behind
  }
}
