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
export const torchVersion = (): string | undefined => printed('torch.__version__.split("+")[0]');

/** PyTorch's version and the GPU it sees; undefined where it has none. */
export const torchOnGpu = (): string | undefined =>
  printed('"PyTorch", torch.__version__.split("+")[0], "eager on", torch.cuda.get_device_name()');

function printed(expression: string): string | undefined {
  try {
    return execFileSync(python, ['-c', `import torch; print(${expression})`], {
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

/** A process that answers with networks of shapes.ts, one request after another. It starts when it is first asked. */
export interface TorchAnswers extends AsyncDisposable {
  /** So many answers of so many rows: rows per second, and milliseconds of the middle one and of 99 in 100. */
  answer(shape: string, batch: number, count: number): Promise<{ rowsPerSecond: number; p50: number; p99: number }>;
}

export function openTorchAnswers(): TorchAnswers {
  const side = openSide(python, [peer('torch_infer.py'), 'cuda']);
  return {
    async answer(shape, batch, count) {
      const [rowsPerSecond = 0, p50 = 0, p99 = 0] = await side.ask(`${shape} ${batch} ${count}`);
      return { rowsPerSecond, p50, p99 };
    },
    [Symbol.asyncDispose]: () => side[Symbol.asyncDispose](),
  };
}

function createRacer(command: string, args: readonly string[]): Racer {
  const side = openSide(command, args);
  let most = 0;
  const racer: Racer = {
    async train(steps) {
      const [speed = 0, memory = 0] = await side.ask(String(steps));
      most = memory;
      return speed;
    },
    async memory() {
      if (most === 0) await racer.train(3);
      return most;
    },
    [Symbol.asyncDispose]: () => side[Symbol.asyncDispose](),
  };
  return racer;
}

/** A process that answers each line with a line of numbers. */
function openSide(command: string, args: readonly string[]) {
  let started: ReturnType<typeof start> | undefined;
  return {
    async ask(question: string): Promise<number[]> {
      const { child, lines } = await (started ??= start(command, args));
      child.stdin.write(`${question}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`${command} ${args.join(' ')} ended with exit code ${child.exitCode}`);
      return value.split(' ').map(Number);
    },
    async [Symbol.asyncDispose]() {
      const { child } = (await started) ?? {};
      if (!child || child.exitCode !== null) return;
      const exited = once(child, 'exit');
      child.stdin.end();
      await exited;
    },
  };
}

async function start(command: string, args: readonly string[]) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next(); // ready
  return { child, lines };
}
