import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { MethodDefinition } from '@grpc/grpc-js';
import { credentials } from '@grpc/grpc-js';
import { inference } from '@modelmill/contracts';
import type { events, registry } from '@modelmill/contracts';
import { openStore } from '@modelmill/store';
import type { Store } from '@modelmill/store';

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));

export type Line = Readonly<Record<string, unknown>>;

/** A real nats-server, the built service as a process, and what a test needs to talk to both. */
export interface Serving extends AsyncDisposable {
  readonly store: Store;
  readonly client: inference.GRPCInferenceServiceClient;
  /** Every log line so far. */
  readonly lines: readonly Line[];
  metrics(): Promise<string>;
  /** The next line of this event after `from` lines. */
  logged(event: string, from?: number): Promise<Line>;
  stop(): Promise<number | null>;
}

/** `prepare` comes before the service. */
export async function startServing(
  env: Record<string, string> = {},
  prepare: (store: Store) => Promise<void> = () => Promise.resolve(),
): Promise<Serving> {
  const folder = mkdtempSync(join(tmpdir(), 'mill-inference-'));
  const nats = await startNats(folder);
  const shared = { natsUrl: nats.url, artifactsDir: join(folder, 'artifacts') };
  const store = await openStore({ ...shared, service: 'test', replica: 'test' });
  await prepare(store);
  const service = startProcess(process.execPath, [main], {
    MILL_NATS_URL: shared.natsUrl,
    MILL_ARTIFACTS_DIR: shared.artifactsDir,
    MILL_RUNNERS: '2',
    ORT_DISABLE_TELEMETRY: '1',
    ...env,
  });
  const serving = await service.logged('serving');
  const client = new inference.GRPCInferenceServiceClient(
    `127.0.0.1:${String(serving['port'])}`,
    credentials.createInsecure(),
  );
  return {
    store,
    client,
    lines: service.lines,
    logged: service.logged,
    stop: service.stop,
    metrics: async () => (await fetch(`http://127.0.0.1:${String(serving['metricsPort'])}/metrics`)).text(),
    async [Symbol.asyncDispose]() {
      client.close();
      await service.stop();
      await store[Symbol.asyncDispose]();
      await nats.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function startNats(folder: string) {
  const server = startProcess('nats-server', ['-js', '-a', '127.0.0.1', '-p', '-1', '-sd', join(folder, 'nats')]);
  // the ports file may come after the line that says it is ready
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
    lines,
    printed: (is: (text: string) => boolean) => found(() => texts.find(is)),
    logged: (event: string, from = 0) => found(() => lines.slice(from).find((line) => line['event'] === event)),
    async stop() {
      if (!ended) child.kill('SIGTERM');
      return exited;
    },
  };
}

/** One call as a promise. */
export const call = <Request, Response>(
  { client }: Pick<Serving, 'client'>,
  method: Pick<MethodDefinition<Request, Response>, 'path' | 'requestSerialize' | 'responseDeserialize'>,
  request: Request,
) =>
  new Promise<Response>((resolve, reject) => {
    const { path, requestSerialize, responseDeserialize } = method;
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, response) =>
      error === null ? resolve(response!) : reject(error),
    );
  });

const lineage = { method: 'uploaded', parentVersion: '', jobId: '', dataset: '', datasetVersion: '' };

/** Its version. */
export async function register(
  { store }: Pick<Serving, 'store'>,
  model: string,
  bytes: Uint8Array,
  signature: registry.Signature,
): Promise<string> {
  const artifact = await store.artifacts.put(bytes);
  const { version } = await store.registry.registerVersion({ model, artifact, signature, lineage, metrics: {} });
  return version;
}

export const point = ({ store }: Pick<Serving, 'store'>, model: string, version: string, name = 'stable') =>
  store.registry.setLabel(model, { name, targets: [{ version, weight: 1 }] });

/** The first event whose subject ends like this, from the beginning of the stream. */
export async function event({ store }: Serving, subject: string): Promise<events.Event> {
  const stop = new AbortController();
  for await (const found of store.events.subscribe({
    filters: [subject],
    start: { kind: 'after', sequence: 0n },
    signal: stop.signal,
  })) {
    stop.abort();
    return found;
  }
  throw new Error(`no event ${subject}`);
}
