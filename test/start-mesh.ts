import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { connectMill } from '@modelmill/client';
import type { Mill } from '@modelmill/client';

const root = resolve(__dirname, '..');
export const apiKey = 'a-key-of-this-test';
export type Service = 'trainer' | 'optimizer' | 'inference' | 'gateway';

export interface Running extends AsyncDisposable {
  readonly pid: number;
  /** Everything it printed so far. */
  readonly log: () => string;
  readonly exited: Promise<number | null>;
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
}

/** tools/jest-environment.cjs calls it: a test that fails shows what its processes printed, and none outlives its file. */
declare global {
  var onTestEvent: ((event: 'starts' | 'failed' | 'all over') => void) | undefined;
}
const started = new Map<string, { readonly child: ChildProcess; readonly lines: readonly string[] }>();
globalThis.onTestEvent = (event) => {
  for (const [name, { child, lines }] of started) {
    const hasEnded = child.exitCode !== null || child.signalCode !== null;
    if (event === 'starts' && hasEnded) started.delete(name);
    if (event === 'failed') process.stderr.write(`--- ${name}\n${lines.join('\n')}\n`);
    if (event === 'all over' && !hasEnded) child.kill('SIGKILL');
  }
};

/** Starts a process of ours. It dies with this test, in peace when disposed and at once when that takes too long. */
function start(command: string, args: string[], env: Record<string, string>, onLine: (line: string) => void): Running {
  const child = spawn(command, args, {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      onLine(line);
    });
  }
  const name = `${basename(command)} ${args[0] ?? ''} (${child.pid})`;
  started.set(name, { child, lines });
  const exited = new Promise<number | null>((done, fail) => {
    child.on('exit', (code) => done(code));
    child.on('error', fail);
  });
  return {
    pid: child.pid!,
    log: () => lines.join('\n'),
    exited,
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    async [Symbol.asyncDispose]() {
      await ended(child, exited);
    },
  };
}

async function ended(child: ChildProcess, exited: Promise<unknown>) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await exited;
  clearTimeout(late);
}

/** A real nats-server on `port` (0: a free one) that keeps its streams in `folder`. */
export async function startNats(folder: string, port = 0): Promise<Running & { readonly port: number }> {
  const args = ['-js', '-a', '127.0.0.1', '-p', String(port || -1), '-sd', join(folder, 'nats')];
  let onReady!: () => void;
  const ready = new Promise<void>((done) => (onReady = done));
  const server = start('nats-server', args, {}, (line) => line.includes('Server is ready') && onReady());
  await Promise.race([
    ready,
    server.exited.then((code) => {
      throw new Error(`nats-server ended with ${code}:\n${server.log()}`);
    }),
  ]);
  const [, taken] = /Listening for client connections on .*:(\d+)/.exec(server.log()) ?? [];
  return { ...server, port: Number(taken) };
}

/** One service of the mesh as a process of its own; resolves when it serves. */
export async function startService(
  service: Service,
  env: Record<string, string>,
): Promise<Running & { readonly serving: Record<string, unknown> }> {
  let onServing!: (fields: Record<string, unknown>) => void;
  const serving = new Promise<Record<string, unknown>>((done) => (onServing = done));
  const main = join(root, 'services', service, 'dist/main.js');
  const running = start(process.execPath, [main], { ORT_DISABLE_TELEMETRY: '1', ...env }, (line) => {
    if (!line.startsWith('{')) return;
    const fields = JSON.parse(line) as Record<string, unknown>;
    if (fields['event'] === 'serving') onServing(fields);
  });
  const fields = await Promise.race([
    serving,
    running.exited.then((code) => {
      throw new Error(`${service} ended with ${code}:\n${running.log()}`);
    }),
  ]);
  return { ...running, serving: fields };
}

export interface Mesh extends AsyncDisposable {
  readonly natsUrl: string;
  /** host:port of the gateway's gRPC door. */
  readonly grpc: string;
  /** URL of the gateway's REST door, without a slash at the end. */
  readonly rest: string;
  readonly mill: Mill;
  readonly folder: string;
  service(name: Service): Running;
  /** Ended, by kill -9 unless told otherwise, then started anew in the same place. */
  restart(name: Service | 'nats', by?: 'SIGKILL' | 'SIGTERM'): Promise<void>;
  /** fetch on the REST door with the key. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  log(): string;
}

/** NATS and the four services as processes on free loopback ports. `env` is given to every service. */
export async function startMesh(env: Record<string, string> = {}): Promise<Mesh> {
  const folder = mkdtempSync(join(tmpdir(), 'mill-mesh-'));
  await using opened = closeInReverse();
  opened.defer(() => rmSync(folder, { recursive: true, force: true }));

  let nats = await startNats(folder);
  opened.defer(() => nats[Symbol.asyncDispose]());
  const natsPort = nats.port;
  const natsUrl = `nats://127.0.0.1:${natsPort}`;

  const shared = {
    MILL_NATS_URL: natsUrl,
    MILL_ARTIFACTS_DIR: join(folder, 'artifacts'),
    MILL_DRAIN_MS: '2000',
    MILL_JOB_ACK_MS: '2000',
    MILL_CHECKPOINT_MS: '500',
    ...env,
  };
  const own: Record<Service, Record<string, string>> = {
    trainer: {},
    optimizer: {},
    inference: {},
    gateway: { MILL_API_KEYS: apiKey, MILL_GRPC_LISTEN: '127.0.0.1:0', MILL_REST_LISTEN: '127.0.0.1:0' },
  };
  const names = Object.keys(own) as Service[];
  const services = new Map<Service, Awaited<ReturnType<typeof startService>>>();
  const starts = await Promise.allSettled(
    names.map(async (name) => {
      services.set(name, await startService(name, { ...shared, ...own[name] }));
      opened.defer(() => services.get(name)![Symbol.asyncDispose]());
    }),
  );
  for (const start of starts) if (start.status === 'rejected') throw start.reason;

  const { grpcPort, restPort } = services.get('gateway')!.serving as { grpcPort: number; restPort: number };
  const grpc = `127.0.0.1:${grpcPort}`;
  const rest = `http://127.0.0.1:${restPort}`;
  const mill = connectMill({ address: grpc, apiKey });
  opened.defer(() => mill[Symbol.asyncDispose]());

  const close = opened.keep();
  return {
    natsUrl,
    grpc,
    rest,
    mill,
    folder,
    service: (name) => services.get(name)!,
    async restart(name, by = 'SIGKILL') {
      if (name === 'nats') {
        await nats.kill();
        nats = await startNats(folder, natsPort);
        return;
      }
      const service = services.get(name)!;
      await (by === 'SIGKILL' ? service.kill() : service[Symbol.asyncDispose]());
      const listen: Record<string, string> =
        name === 'gateway' ? { MILL_GRPC_LISTEN: grpc, MILL_REST_LISTEN: rest.slice('http://'.length) } : {};
      services.set(name, await startService(name, { ...shared, ...own[name], ...listen }));
    },
    fetch: (path, init = {}) =>
      fetch(`${rest}${path}`, { ...init, headers: { authorization: `Bearer ${apiKey}`, ...init.headers } }),
    log: () => [...services].map(([name, { log }]) => `--- ${name}\n${log()}`).join('\n'),
    [Symbol.asyncDispose]: close,
  };
}

/** Closes what was opened, last first, unless it is kept: then the caller closes it. */
function closeInReverse() {
  let deferred: (() => unknown)[] = [];
  const close = async (all: (() => unknown)[]) => {
    for (const one of all.reverse()) await one();
  };
  return {
    defer: (one: () => unknown) => void deferred.push(one),
    keep() {
      const all = deferred;
      deferred = [];
      return () => close(all);
    },
    [Symbol.asyncDispose]: () => close(deferred),
  };
}
