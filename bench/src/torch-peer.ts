import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('../peers/torch_train.py', import.meta.url));
/** A Python that has torch: MILL_BENCH_PYTHON, or the one on PATH. */
const python = process.env['MILL_BENCH_PYTHON'] ?? 'python3';

export interface TorchPeer extends AsyncDisposable {
  readonly version: string;
  /** Examples per second of so many steps of a network. */
  train(network: string, steps: number): Promise<number>;
}

/** PyTorch in a process of its own; undefined where it is not installed. */
export async function openTorch(): Promise<TorchPeer | undefined> {
  let version: string;
  try {
    const print = 'import torch; print(torch.__version__.split("+")[0])';
    version = execFileSync(python, ['-c', print], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
  const child = spawn(python, [script, String(availableParallelism())], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next(); // ready
  return {
    version,
    async train(network, steps) {
      child.stdin.write(`${network} ${steps}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`PyTorch ended with exit code ${child.exitCode}`);
      return Number(value);
    },
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit');
      child.stdin.end();
      await exited;
    },
  };
}
