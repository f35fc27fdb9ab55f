import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { connectMill } from '@modelmill/client';
import type { Mill } from '@modelmill/client';
import { openStore } from '@modelmill/store';
import type { Store } from '@modelmill/store';
import { baseConfig, readConfig, startTelemetry } from '@modelmill/service-kit';
import type { Telemetry } from '@modelmill/service-kit';

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
export const apiKey = 'a-key-of-this-test';

/** A real nats-server, the built gateway as a process, and what a test needs to talk to both. */
export interface Mesh extends AsyncDisposable {
  readonly store: Store;
  readonly mill: Mill;
  readonly grpc: string;
  readonly telemetry: Telemetry;
  /** The store, as another replica sees it. */
  openStore(replica: string): Promise<Store>;
  /** fetch on the REST door, with the key. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** As `fetch`: the code and the body. */
  json(path: string, init?: RequestInit): Promise<{ status: number; body: Record<string, unknown> }>;
  /** SIGTERM to the gateway, and its exit code. */
  stop(): Promise<number | null>;
  killNats(): Promise<void>;
}

export async function startMesh(env: Record<string, string> = {}): Promise<Mesh> {
  const folder = mkdtempSync(join(tmpdir(), 'mill-gateway-'));
  const nats = startProcess('nats-server', ['-js', '-a', '127.0.0.1', '-p', '-1', '-sd', join(folder, 'nats')]);
  const listening = await nats.printed((line) => line.includes('Listening for client connections on '));
  await nats.printed((line) => line.includes('Server is ready'));
  const shared = { natsUrl: `nats://${listening.split(' ').at(-1)}`, artifactsDir: join(folder, 'artifacts') };
  const open = (replica: string) => openStore({ ...shared, service: 'test', replica });
  const store = await open('test');
  const telemetry = await startTelemetry('test', readConfig(baseConfig, { MILL_LOG_LEVEL: 'silent' }));
  const gateway = startProcess(process.execPath, [main], {
    MILL_NATS_URL: shared.natsUrl,
    MILL_ARTIFACTS_DIR: shared.artifactsDir,
    MILL_GRPC_LISTEN: '127.0.0.1:0',
    MILL_REST_LISTEN: '127.0.0.1:0',
    MILL_API_KEYS: apiKey,
    MILL_DRAIN_MS: '2000',
    ...env,
  });
  const line = await gateway.printed((text) => text.includes('"event":"serving"'));
  const { grpcPort, restPort } = JSON.parse(line) as { grpcPort: number; restPort: number };
  const grpc = `127.0.0.1:${grpcPort}`;
  const mill = connectMill({ address: grpc, apiKey });
  const withKey = (path: string, init: RequestInit = {}) =>
    fetch(`http://127.0.0.1:${restPort}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${apiKey}`, ...init.headers },
    });
  return {
    store,
    mill,
    grpc,
    telemetry,
    openStore: open,
    fetch: withKey,
    async json(path, init) {
      const response = await withKey(path, init);
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    },
    stop: gateway.stop,
    killNats: () => nats.kill(),
    async [Symbol.asyncDispose]() {
      await mill[Symbol.asyncDispose]();
      await gateway.stop();
      await store[Symbol.asyncDispose]();
      await telemetry[Symbol.asyncDispose]();
      await nats.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A child of this test, with every line it prints. */
function startProcess(command: string, args: readonly string[], env?: Record<string, string>) {
  const child = spawn(command, args, { ...(env ? { env } : {}), stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  let wake = () => {};
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      wake();
    });
  }
  const exited = exitOf(child).finally(() => wake());
  return {
    async printed(is: (line: string) => boolean): Promise<string> {
      for (;;) {
        const found = lines.find(is);
        if (found !== undefined) return found;
        if (child.exitCode !== null) throw new Error(`${command} ended:\n${lines.join('\n')}`);
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    stop: () => {
      child.kill('SIGTERM');
      return exited;
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

const exitOf = (child: ChildProcess) => new Promise<number | null>((resolve) => child.once('exit', resolve));
