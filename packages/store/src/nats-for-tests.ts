import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { openStore } from './open-store.js';
import type { Store, StoreOptions } from './open-store.js';

/** A real nats-server on a free port with a folder of its own, for tests. */
export interface TestNats extends AsyncDisposable {
  readonly url: string;
  /** Holds its streams; and artifacts, below `artifacts`. */
  readonly folder: string;
  /** kill -9. */
  kill(): Promise<void>;
  /** After a kill: forgets everything. */
  wipe(): void;
  /** After a kill: in the same place, on the same port. */
  start(): Promise<void>;
  open(options?: Partial<StoreOptions>): Promise<Store>;
  /** What a stream holds, as JSON, past the store. */
  messages(stream: string): Promise<unknown[]>;
  publish(subject: string, payload: string): Promise<void>;
  purge(stream: string): Promise<void>;
  /** A record as it lies in its bucket. */
  record(bucket: string, key: string): Promise<Record<string, unknown>>;
  /** Changes a record past the store. */
  rewrite(bucket: string, key: string, patch: object): Promise<void>;
}

/** Resolves when the condition holds. */
export async function settled(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(20);
}

export async function startNats(): Promise<TestNats> {
  const folder = mkdtempSync(join(tmpdir(), 'mill-store-'));
  let child: ChildProcess | undefined;
  let port = -1;

  async function start(): Promise<void> {
    const ports = mkdtempSync(join(folder, 'ports-'));
    const where = ['-js', '-a', '127.0.0.1', '-p', String(port), '-sd', join(folder, 'nats')];
    const server = spawn('nats-server', [...where, '--ports_file_dir', ports], { stdio: ['ignore', 'ignore', 'pipe'] });
    child = server;
    const lines: string[] = [];
    await new Promise<void>((ready, fail) => {
      server.on('error', fail);
      server.on('exit', () => fail(new Error(`nats-server ended:\n${lines.join('\n')}`)));
      createInterface({ input: server.stderr }).on('line', (line) => {
        lines.push(line);
        if (line.includes('Server is ready')) ready();
      });
    });
    if (port === -1) port = await portIn(ports);
  }

  async function kill(): Promise<void> {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  /** Past the store, on a connection of its own. */
  async function plainly<T>(use: (js: JetStreamClient, jsm: JetStreamManager) => Promise<T>): Promise<T> {
    const connection = await connect({ servers: `127.0.0.1:${port}` });
    try {
      return await use(jetstream(connection), await jetstreamManager(connection));
    } finally {
      await connection.close();
    }
  }

  const record = (bucket: string, key: string) =>
    plainly(async (_js, jsm) => {
      const now = await jsm.streams.getMessage(`KV_${bucket}`, { last_by_subj: `$KV.${bucket}.${key}` });
      return now!.json<Record<string, unknown>>();
    });

  await start();
  let replicas = 0;
  return {
    url: `nats://127.0.0.1:${port}`,
    folder,
    kill,
    start,
    wipe: () => rmSync(join(folder, 'nats'), { recursive: true }),
    open: (options = {}) =>
      openStore({
        natsUrl: `nats://127.0.0.1:${port}`,
        service: 'test',
        replica: `test-${++replicas}`,
        artifactsDir: join(folder, 'artifacts'),
        waitMs: 5_000,
        ...options,
      }),
    messages: (stream) =>
      plainly(async (_js, jsm) => {
        const { state } = await jsm.streams.info(stream);
        const found: unknown[] = [];
        for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
          const message = await jsm.streams.getMessage(stream, { seq });
          if (message !== null) found.push(message.json());
        }
        return found;
      }),
    publish: (subject, payload) => plainly(async (js) => void (await js.publish(subject, payload))),
    purge: (stream) => plainly(async (_js, jsm) => void (await jsm.streams.purge(stream))),
    record,
    rewrite: async (bucket, key, patch) => {
      const payload = JSON.stringify({ ...(await record(bucket, key)), ...patch });
      await plainly(async (js) => void (await js.publish(`$KV.${bucket}.${key}`, payload)));
    },
    async [Symbol.asyncDispose]() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function portIn(folder: string): Promise<number> {
  for (;;) {
    const [file] = await readdir(folder);
    const text = file === undefined ? '' : await readFile(join(folder, file), 'utf8');
    if (text.endsWith('}')) return Number(new URL((JSON.parse(text) as { nats: string[] }).nats[0]!).port);
  }
}
