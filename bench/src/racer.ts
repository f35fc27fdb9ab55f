import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const torchScript = fileURLToPath(new URL('../peers/torch_train.py', import.meta.url));
const ourScript = fileURLToPath(new URL('step-main.js', import.meta.url));
/** A Python that has torch: MILL_BENCH_PYTHON, or the one on PATH. */
const python = process.env['MILL_BENCH_PYTHON'] ?? 'python3';

/** One side of a race: a process that trains one network. It starts when it is first asked. */
export interface Racer extends AsyncDisposable {
  /** Examples per second of so many steps. */
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

export const ourRacer = (network: string) => createRacer(process.execPath, [ourScript, network]);
export const torchRacer = (network: string) => createRacer(python, [torchScript, network]);

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
  const child = spawn(command, [...args, String(availableParallelism())], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next(); // ready
  return { child, lines };
}
