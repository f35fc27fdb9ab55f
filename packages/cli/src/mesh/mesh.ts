import { mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { CliError } from '../cli-error.js';
import { apiKeyOf } from './api-key.js';
import { claimState, removeMeshFile, writeMeshFile } from './mesh-file.js';
import { natsServer } from './nats-server.js';
import { supervise } from './supervisor.js';
import type { Member, MemberChange, Supervised } from './supervisor.js';

/** NATS and the four services on this machine, on loopback, each a process of its own. */
export interface Mesh extends AsyncDisposable {
  readonly state: string;
  /** host:port. */
  readonly grpc: string;
  readonly rest: string;
  readonly nats: string;
  readonly apiKey: string;
  /** Whether the key was made by this start. */
  readonly apiKeyIsNew: boolean;
  /** Drains and ends all of it in order; `onStep` hears what is being ended. */
  stop(onStep?: (name: string) => void): Promise<void>;
}

export interface MeshOptions {
  readonly root: string;
  /** Folder of everything the mesh keeps. */
  readonly state: string;
  /** 0: a free one. */
  readonly restPort: number;
  readonly grpcPort: number;
  /** The environment the services inherit; MILL_NATS_URL in it names a NATS to use instead of an own one. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onChange?: (change: MemberChange) => void;
}

const workers = ['trainer', 'optimizer', 'inference'] as const;
const patienceMs = 15_000;

/** Resolves when every service serves. Throws CliError with the reason when one cannot. */
export async function startMesh(options: MeshOptions): Promise<Mesh> {
  const { root, state, env } = options;
  for (const [flag, port] of [
    ['rest-port', options.restPort],
    ['grpc-port', options.grpcPort],
  ] as const) {
    await checkFree(port, flag);
  }
  await claimState(state);
  const up: Supervised[] = [];
  const processes: Record<string, { pid?: number | undefined; restarts: number }> = {};
  const startedAt = new Date().toISOString();
  let doors: { grpc?: string; rest?: string; nats?: string } = {};
  let written = Promise.resolve();
  const save = () =>
    (written = written
      .then(() => writeMeshFile(state, { pid: process.pid, startedAt, ...doors, processes }))
      .catch(() => {})); // for other commands to read: a full disk must not end the mesh

  function onChange(change: MemberChange): void {
    processes[change.name] = { pid: change.kind === 'serving' ? change.pid : undefined, restarts: change.restarts };
    void save();
    options.onChange?.(change);
  }

  let stopped: Promise<void> | undefined;
  const stop = (onStep: (name: string) => void = () => {}) => (stopped ??= drain(onStep));

  async function drain(onStep: (name: string) => void): Promise<void> {
    for (const names of [['gateway'], [...workers], ['nats-server']]) {
      await Promise.all(
        up.filter(({ name }) => names.includes(name)).map((member) => (onStep(member.name), member.stop(patienceMs))),
      );
    }
    await written;
    await removeMeshFile(state);
  }

  try {
    const logs = join(state, 'logs');
    await rm(logs, { recursive: true, force: true });
    await mkdir(logs, { recursive: true });
    const { key, isNew } = await apiKeyOf(state);

    let natsUrl = env['MILL_NATS_URL'];
    if (!natsUrl) {
      const nats = await natsServer(state, () => env, join(logs, 'nats-server.log'));
      up.push(await supervise(nats, onChange));
      natsUrl = nats.url();
    }
    const shared = {
      ...env,
      ORT_DISABLE_TELEMETRY: '1',
      MILL_NATS_URL: natsUrl,
      MILL_ARTIFACTS_DIR: join(state, 'artifacts'),
    };
    const gateway = gatewayMember(options, { ...shared, MILL_API_KEYS: key }, logs);
    const members = [
      ...workers.map((name) => service(root, name, logs, () => ({ ...shared, MILL_LISTEN: '127.0.0.1:0' }))),
      gateway,
    ];
    const started = await Promise.allSettled(members.map((member) => supervise(member, onChange)));
    for (const one of started) if (one.status === 'fulfilled') up.push(one.value);
    for (const one of started) if (one.status === 'rejected') throw one.reason;

    doors = { grpc: gateway.grpc(), rest: gateway.rest(), nats: natsUrl };
    await save();
    return {
      state,
      grpc: gateway.grpc(),
      rest: gateway.rest(),
      nats: natsUrl,
      apiKey: key,
      apiKeyIsNew: isNew,
      stop,
      [Symbol.asyncDispose]: () => stop(),
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function service(
  root: string,
  name: string,
  logs: string,
  env: Member['env'],
  onServing: (fields: ServingLine) => void = () => {},
): Member {
  return {
    name,
    command: process.execPath,
    logPath: join(logs, `${name}.log`),
    args: () => [join(root, 'services', name, 'dist/main.js')],
    env,
    onLine(line) {
      const fields = servingLine(line);
      if (fields) onServing(fields);
      return fields !== undefined;
    },
  };
}

function gatewayMember(options: MeshOptions, env: Readonly<Record<string, string | undefined>>, logs: string) {
  let { grpcPort, restPort } = options; // a restarted gateway listens where its callers know it
  const listen = () => ({ MILL_GRPC_LISTEN: `127.0.0.1:${grpcPort}`, MILL_REST_LISTEN: `127.0.0.1:${restPort}` });
  const member = service(
    options.root,
    'gateway',
    logs,
    () => ({ ...env, ...listen() }),
    (fields) => {
      grpcPort = fields.grpcPort ?? grpcPort;
      restPort = fields.restPort ?? restPort;
    },
  );
  return { ...member, grpc: () => `127.0.0.1:${grpcPort}`, rest: () => `http://127.0.0.1:${restPort}` };
}

interface ServingLine {
  readonly event: 'serving';
  readonly grpcPort?: number;
  readonly restPort?: number;
}

function servingLine(line: string): ServingLine | undefined {
  if (!line.startsWith('{') || !line.includes('"serving"')) return undefined;
  try {
    const fields = JSON.parse(line) as { event?: string };
    return fields.event === 'serving' ? (fields as ServingLine) : undefined;
  } catch {
    return undefined; // half a line
  }
}

async function checkFree(port: number, flag: string): Promise<void> {
  if (!(await isFree(port))) throw new CliError(`127.0.0.1:${port} is in use: choose another with --${flag}`);
}

/** Whether a loopback port can be listened on; 0 always can. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
