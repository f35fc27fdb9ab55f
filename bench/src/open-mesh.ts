import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { connectMill } from '@modelmill/client';
import type { Mill } from '@modelmill/client';
import { openStore } from '@modelmill/store';
import { createClosing } from './closing.js';

const cli = fileURLToPath(new URL('../../packages/cli/dist/main.js', import.meta.url));

/** A mesh of its own: `mill up` on free ports, in a folder that goes with it. */
export interface BenchMesh extends AsyncDisposable {
  readonly mill: Mill;
  /** host:port of the gateway's gRPC door. */
  readonly gateway: string;
  /** host:port of the gateway's REST door. */
  readonly rest: string;
  readonly apiKey: string;
  /** host:port of the inference service, past the gateway. */
  inference(): Promise<string>;
}

/** `environment`: what its services are told beyond this process's own. */
export async function openMesh(environment: Readonly<Record<string, string>> = {}): Promise<BenchMesh> {
  await using opened = createClosing();
  const state = await mkdtemp(join(tmpdir(), 'mill-bench-'));
  opened.defer(() => rm(state, { recursive: true, force: true }));
  const child = spawn(process.execPath, [cli, 'up', '--rest-port', '0', '--grpc-port', '0', '--state', state], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  opened.defer(async () => {
    child.kill('SIGINT');
    await exited;
  });
  await Promise.race([
    printed(child.stdout, 'The mill is up'),
    exited.then(() => {
      throw new Error(`mill up ended with exit code ${child.exitCode}`);
    }),
  ]);

  const { grpc, rest, nats } = JSON.parse(await readFile(join(state, 'mesh.json'), 'utf8')) as Record<
    'grpc' | 'rest' | 'nats',
    string
  >;
  const apiKey = (await readFile(join(state, 'api-key'), 'utf8')).trim();
  const mill = opened.use(connectMill({ address: grpc, apiKey }));
  const artifactsDir = join(state, 'artifacts');
  const kept = opened.move();
  return {
    mill,
    gateway: grpc,
    rest: rest.replace(/^http:\/\//, ''),
    apiKey,
    async inference() {
      await using store = await openStore({ natsUrl: nats, service: 'bench', replica: 'bench', artifactsDir });
      const [replica] = await store.replicas.list('inference');
      if (!replica) throw new Error('no inference service has announced itself');
      return replica.address;
    },
    [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose](),
  };
}

async function printed(output: NodeJS.ReadableStream, words: string): Promise<void> {
  await new Promise<void>((resolve) => {
    createInterface({ input: output }).on('line', (line) => line.includes(words) && resolve());
  });
}
