import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { connectMill } from '@modelmill/client';
import type { Mill } from '@modelmill/client';
import { openStore } from '@modelmill/store';
import type { Store } from '@modelmill/store';

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));

export type Line = Readonly<Record<string, unknown>>;

/** A real nats-server, the built service as a process, and what a test needs to talk to both. */
export interface Optimizing extends AsyncDisposable {
  readonly store: Store;
  /** Connected to the service itself. */
  readonly mill: Mill;
  /** The next line of this event after `from` lines. */
  logged(event: string, from?: number): Promise<Line>;
  /** Of the service as it runs now. */
  pid(): number;
  /** kill -9, then started anew in the same place. */
  restart(): Promise<void>;
  /** kill -9 of NATS, then started anew in the same place. */
  restartNats(): Promise<void>;
  /** SIGTERM; its exit code. */
  stop(): Promise<number | null>;
}

export async function startOptimizer(env: Record<string, string> = {}): Promise<Optimizing> {
  const folder = mkdtempSync(join(tmpdir(), 'mill-optimizer-'));
  let nats = await startNats(folder);
  const shared = { natsUrl: nats.url, artifactsDir: join(folder, 'artifacts') };
  const store = await openStore({ ...shared, service: 'test', replica: 'test' });
  const start = async (listen = '127.0.0.1:0') => {
    const service = startProcess(process.execPath, [main], {
      MILL_NATS_URL: shared.natsUrl,
      MILL_ARTIFACTS_DIR: shared.artifactsDir,
      MILL_LISTEN: listen,
      MILL_JOB_ACK_MS: '2000',
      ORT_DISABLE_TELEMETRY: '1',
      ...env,
    });
    const serving = await service.logged('serving');
    return { service, address: `127.0.0.1:${String(serving['port'])}` };
  };
  let running = await start();
  const mill = connectMill({ address: running.address });
  return {
    store,
    mill,
    pid: () => running.service.pid,
    logged: (event, from) => running.service.logged(event, from),
    stop: () => running.service.stop(),
    async restart() {
      await running.service.stop('SIGKILL');
      running = await start(running.address);
    },
    async restartNats() {
      await nats.stop('SIGKILL');
      nats = await startNats(folder, new URL(nats.url).port);
    },
    async [Symbol.asyncDispose]() {
      await mill[Symbol.asyncDispose]();
      await running.service.stop();
      await store[Symbol.asyncDispose]();
      await nats.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function startNats(folder: string, port = '-1') {
  const server = startProcess('nats-server', ['-js', '-a', '127.0.0.1', '-p', port, '-sd', join(folder, 'nats')]);
  const listening = await server.printed((line) => line.includes('Listening for client connections on '));
  await server.printed((line) => line.includes('Server is ready'));
  return { url: `nats://${listening.split(' ').at(-1)}`, stop: server.stop };
}

/** A child of this test; `stop` asks it to end and resolves with its exit code. */
function startProcess(command: string, args: readonly string[], env?: Record<string, string>) {
  const child = spawn(command, args, { ...(env ? { env } : {}), stdio: ['ignore', 'pipe', 'pipe'] });
  const texts: string[] = [];
  const lines: Line[] = [];
  let wake = () => {};
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (text) => {
      texts.push(text);
      if (text.startsWith('{')) lines.push(JSON.parse(text) as Line);
      wake();
    });
  }
  let ended = false;
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve)).finally(() => {
    ended = true;
    wake();
  });

  async function found<T>(find: () => T | undefined): Promise<T> {
    for (;;) {
      const result = find();
      if (result !== undefined) return result;
      if (ended) throw new Error(`${command} ended:\n${texts.join('\n')}`);
      await new Promise<void>((resolve) => (wake = resolve));
    }
  }

  return {
    pid: child.pid!,
    printed: (is: (text: string) => boolean) => found(() => texts.find(is)),
    logged: (event: string, from = 0) => found(() => lines.slice(from).find((line) => line['event'] === event)),
    async stop(signal: NodeJS.Signals = 'SIGTERM') {
      if (!ended) child.kill(signal);
      return exited;
    },
  };
}
