import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Provider } from '@modelmill/runtime';

const peer = (name: string) => fileURLToPath(new URL(`../peers/${name}`, import.meta.url));
const ourScript = fileURLToPath(new URL('step-main.js', import.meta.url));
/** A Python that has torch: MILL_BENCH_PYTHON, or the one on PATH. */
const python = process.env['MILL_BENCH_PYTHON'] ?? 'python3';

/** One side of a race: a process that trains or asks one network. It starts when it is first asked. */
export interface Racer extends AsyncDisposable {
  /** Examples per second of so many steps, or answers. */
  train(steps: number): Promise<number>;
  /** The most memory it held so far, in MiB. */
  memory(): Promise<number>;
}

/** PyTorch's version; undefined where it is not installed. */
export function torchVersion(): string | undefined {
  try {
    const print = 'import torch; print(torch.__version__.split("+")[0])';
    return execFileSync(python, ['-c', print], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

/** The GPU's name to PyTorch; undefined where it has none. */
export function torchGpu(): string | undefined {
  try {
    return execFileSync(python, ['-c', 'import torch; print(torch.cuda.get_device_name())'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}

const threads = String(availableParallelism());

export const ourRacer = (network: string, provider: Provider = 'cpu') =>
  createRacer(process.execPath, [ourScript, network, threads, provider]);
export const torchRacer = (network: string, device: 'cpu' | 'cuda' = 'cpu') =>
  createRacer(python, [peer('torch_train.py'), network, threads, device]);
export const torchAnswers = (shape: string, batch: number) =>
  createRacer(python, [peer('torch_infer.py'), shape, String(batch), 'cuda']);

function createRacer(command: string, args: readonly string[]): Racer {
  let started: ReturnType<typeof start> | undefined;
  let most = 0;
  const racer: Racer = {
    async train(steps) {
      const { child, lines } = await (started ??= start(command, args));
      child.stdin.write(`${steps}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`${command} ${args.join(' ')} ended with exit code ${child.exitCode}`);
      const [speed, memory] = value.split(' ').map(Number);
      most = memory!;
      return speed!;
    },
    async memory() {
      if (most === 0) await racer.train(3);
      return most;
    },
    async [Symbol.asyncDispose]() {
      const { child } = (await started) ?? {};
      if (!child || child.exitCode !== null) return;
      const exited = once(child, 'exit');
      child.stdin.end();
      await exited;
    },
  };
  return racer;
}

async function start(command: string, args: readonly string[]) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next(); // ready
  return { child, lines };
}
