import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { MethodDefinition } from '@grpc/grpc-js';
import { credentials } from '@grpc/grpc-js';
import { trainer } from '@modelmill/contracts';
import { openStore } from '@modelmill/store';
import type { Store } from '@modelmill/store';

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));

export type Line = Readonly<Record<string, unknown>>;

/** A real nats-server, the built service as a process, and what a test needs to talk to both. */
export interface Training extends AsyncDisposable {
  readonly store: Store;
  call<Request, Response>(
    method: Pick<MethodDefinition<Request, Response>, 'path' | 'requestSerialize' | 'responseDeserialize'>,
    request: Request,
  ): Promise<Response>;
  watch(jobId: string): AsyncIterable<trainer.WatchTrainingResponse>;
  /** The next line of this event after `from` lines. */
  logged(event: string, from?: number): Promise<Line>;
  /** The processes that train now. */
  trainingProcesses(): number[];
  /** Ends the service and resolves with its exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  /** After a stop: in the same place. */
  start(): Promise<void>;
  /** kill -9 of NATS. */
  killNats(): Promise<void>;
}

export async function startTraining(env: Record<string, string> = {}): Promise<Training> {
  const folder = mkdtempSync(join(tmpdir(), 'mill-trainer-'));
  const nats = await startNats(folder);
  const shared = { natsUrl: nats.url, artifactsDir: join(folder, 'artifacts') };
  const store = await openStore({ ...shared, service: 'test', replica: 'test' });
  const start = async (listen: string) => {
    const service = startProcess(process.execPath, [main], {
      MILL_NATS_URL: shared.natsUrl,
      MILL_ARTIFACTS_DIR: shared.artifactsDir,
      MILL_LISTEN: listen,
      MILL_JOB_ACK_MS: '2000',
      MILL_CHECKPOINT_MS: '100',
      MILL_TRAINING_THREADS: '1',
      ORT_DISABLE_TELEMETRY: '1',
      ...env,
    });
    const { port } = await service.logged('serving');
    return { service, address: `127.0.0.1:${String(port)}` };
  };
  let running = await start('127.0.0.1:0');
  const client = new trainer.TrainerClient(running.address, credentials.createInsecure());
  return {
    store,
    call: ({ path, requestSerialize, responseDeserialize }, request) =>
      new Promise((resolve, reject) =>
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, response) =>
          error === null ? resolve(response!) : reject(error),
        ),
      ),
    watch: (jobId) => client.watchTraining({ jobId }),
    logged: (event, from) => running.service.logged(event, from),
    trainingProcesses: () => childrenOf(running.service.pid),
    stop: (signal) => running.service.stop(signal),
    async start() {
      running = await start(running.address);
    },
    killNats: async () => void (await nats.stop('SIGKILL')),
    async [Symbol.asyncDispose]() {
      client.close();
      await running.service.stop();
      await store[Symbol.asyncDispose]();
      await nats.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const childrenOf = (pid: number) =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);

async function startNats(folder: string) {
  const server = startProcess('nats-server', ['-js', '-a', '127.0.0.1', '-p', '-1', '-sd', join(folder, 'nats')]);
  const listening = await server.printed((line) => line.includes('Listening for client connections on '));
  await server.printed((line) => line.includes('Server is ready'));
  return { url: `nats://${listening.split(' ').at(-1)}`, stop: server.stop };
}

/** A child of this test; `stop` asks it to end and resolves with its exit code. */
function startProcess(command: string, args: readonly string[], env?: Record<string, string>) {
  const child = spawn(command, args, { ...(env ? { env } : {}), stdio: ['ignore', 'pipe', 'pipe'] });
  const texts: string[] = [];
  const lines: Line[] = [];
  const waiting = new Set<() => void>();
  const wake = () => waiting.forEach((look) => look());
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (text) => {
      texts.push(text);
      if (text.startsWith('{')) lines.push(JSON.parse(text) as Line);
      wake();
    });
  }
  let ended = false;
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once('exit', resolve);
    child.once('error', reject);
  }).finally(() => {
    ended = true;
    wake();
  });

  const found = <T>(find: () => T | undefined): Promise<T> =>
    new Promise((resolve, reject) => {
      const look = () => {
        const result = find();
        if (result === undefined && !ended) return void waiting.add(look);
        waiting.delete(look);
        if (result !== undefined) resolve(result);
        else reject(new Error(`${command} ended:\n${texts.join('\n')}`));
      };
      look();
    });

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
