import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '@nats-io/transport-node';
import { readMeshFile } from './mesh-file.js';
import { startMesh } from './mesh.js';
import type { MemberChange } from './supervisor.js';

jest.setTimeout(30_000);

/** Stands in for a service: tells what it was given, serves, and says goodbye. */
const standIn = (name: string) => `
const { appendFileSync } = require('node:fs');
const net = require('node:net');
const say = (line) => appendFileSync(process.env.JOURNAL, line + '\\n');
process.on('SIGTERM', () => { say('end ${name}'); process.exit(0); });
const listen = (address) => new Promise((resolve) => {
  const [host, port] = address.split(':');
  const server = net.createServer().listen(Number(port), host, () => resolve(server.address().port));
});
(async () => {
  if (process.env.FAIL === '${name}') { console.log(JSON.stringify({ event: 'cannot start', message: 'out of luck' })); process.exit(1); }
  const ports = '${name}' === 'gateway'
    ? { grpcPort: await listen(process.env.MILL_GRPC_LISTEN), restPort: await listen(process.env.MILL_REST_LISTEN) }
    : { port: await listen(process.env.MILL_LISTEN) };
  say('env ${name} ' + JSON.stringify({ nats: process.env.MILL_NATS_URL, key: process.env.MILL_API_KEYS, ort: process.env.ORT_DISABLE_TELEMETRY }));
  console.log(JSON.stringify({ event: 'serving', ...ports }));
})();
`;

describe('a mesh', () => {
  let root: string;
  const state = () => join(root, '.mill');
  const journal = () => readFileSync(join(root, 'journal'), 'utf8').trim().split('\n');

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'mill-mesh-'));
    for (const name of ['trainer', 'optimizer', 'inference', 'gateway']) {
      const folder = join(root, 'services', name, 'dist');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'main.js'), standIn(name));
    }
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  function start(
    options: { env?: Record<string, string>; restPort?: number; onChange?: (c: MemberChange) => void } = {},
  ) {
    const { env = {}, restPort = 0, onChange = () => {} } = options;
    const inherited = { PATH: `${process.env['PATH']}:/usr/sbin`, JOURNAL: join(root, 'journal'), ...env };
    return startMesh({ root, state: state(), restPort, grpcPort: 0, env: inherited, onChange });
  }

  it('is NATS and four services that know it, with a key of its own', async () => {
    await using mesh = await start();
    expect(statSync(join(state(), 'api-key')).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(state(), 'api-key'), 'utf8')).toBe(`${mesh.apiKey}\n`);
    const given = journal().map((line) => line.split(' '));
    expect(given.map(([, name]) => name).sort()).toEqual(['gateway', 'inference', 'optimizer', 'trainer']);
    for (const [, name, json] of given) {
      const key = name === 'gateway' ? { key: mesh.apiKey } : {};
      expect(JSON.parse(json!)).toEqual({ nats: mesh.nats, ort: '1', ...key });
    }
    const nats = await connect({ servers: mesh.nats });
    await nats.close();
    const file = await readMeshFile(state());
    expect(file).toMatchObject({ pid: process.pid, grpc: mesh.grpc, rest: mesh.rest, nats: mesh.nats });
    expect(Object.keys(file!.processes).sort()).toEqual([
      'gateway',
      'inference',
      'nats-server',
      'optimizer',
      'trainer',
    ]);
  });

  it('drains the gateway before the workers, and keeps its key for the next start', async () => {
    const mesh = await start();
    await mesh.stop();
    const ends = journal().filter((line) => line.startsWith('end'));
    expect(ends[0]).toBe('end gateway');
    expect(ends.slice(1).sort()).toEqual(['end inference', 'end optimizer', 'end trainer']);
    expect(existsSync(join(state(), 'mesh.json'))).toBe(false);
    await using again = await start();
    expect([mesh.apiKeyIsNew, again.apiKeyIsNew, again.apiKey]).toEqual([true, false, mesh.apiKey]);
  });

  it('starts what was killed where it was', async () => {
    const back = new Map<string, () => void>();
    const backAgain = (name: string) => new Promise<void>((resolve) => back.set(name, resolve));
    await using mesh = await start({
      onChange: (change) => change.kind === 'serving' && change.restarts > 0 && back.get(change.name)?.(),
    });
    const { processes } = (await readMeshFile(state()))!;
    for (const name of ['nats-server', 'gateway']) {
      const isBack = backAgain(name);
      process.kill(processes[name]!.pid!, 'SIGKILL');
      await isBack;
    }
    const nats = await connect({ servers: mesh.nats });
    await nats.close();
    const port = Number(mesh.grpc.split(':')[1]);
    const probe = createServer();
    const taken = new Promise<unknown>((resolve) => probe.once('error', resolve).listen(port, '127.0.0.1'));
    expect(await taken).toMatchObject({ code: 'EADDRINUSE' });
  });

  it('that cannot start says why, and leaves nothing running', async () => {
    await expect(start({ env: { FAIL: 'optimizer' } })).rejects.toThrow('optimizer could not start: out of luck');
    expect(
      journal()
        .filter((line) => line.startsWith('end'))
        .sort(),
    ).toEqual(['end gateway', 'end inference', 'end trainer']);
    expect(existsSync(join(state(), 'mesh.json'))).toBe(false);
  });

  it('does not begin on a port in use', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as AddressInfo;
    await expect(start({ restPort: port })).rejects.toThrow(
      `127.0.0.1:${port} is in use: choose another with --rest-port`,
    );
    taken.close();
    expect(existsSync(state())).toBe(false);
  });
});
