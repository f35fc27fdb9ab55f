import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startNats } from './start-mesh.js';

const main = (service: string) => resolve(__dirname, '../services', service, 'dist/main.js');

function launch(service: string, env: Record<string, string>) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main(service)], {
    env: { PATH: process.env['PATH'], ORT_DISABLE_TELEMETRY: '1', ...env },
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { code: status, output: `${stdout}${stderr}`.trim() };
}

describe('a service that cannot start says why in one line and ends with exit code 1', () => {
  let folder: string;
  beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'mill-start-'))));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(['trainer', 'optimizer', 'inference', 'gateway'])('%s, without NATS', (service) => {
    const { code, output } = launch(service, {
      MILL_NATS_URL: 'nats://127.0.0.1:1',
      MILL_NATS_WAIT_MS: '500',
      MILL_ARTIFACTS_DIR: join(folder, 'artifacts'),
    });
    expect(output).toContain('nats://127.0.0.1:1');
    expect(output.split('\n').filter((line) => line.includes('nats://127.0.0.1:1'))).toHaveLength(1);
    expect(code).toBe(1);
  });

  it('the gateway, on a port in use', async () => {
    await using nats = await startNats(folder);
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((listening) => taken.once('listening', listening));
    const { port } = taken.address() as AddressInfo;
    const { code, output } = launch('gateway', {
      MILL_NATS_URL: `nats://127.0.0.1:${nats.port}`,
      MILL_ARTIFACTS_DIR: join(folder, 'artifacts'),
      MILL_GRPC_LISTEN: '127.0.0.1:0',
      MILL_REST_LISTEN: `127.0.0.1:${port}`,
    });
    taken.close();
    expect(output).toMatch(new RegExp(`127\\.0\\.0\\.1:${port}.*in use`));
    expect(code).toBe(1);
  });

  it('any service, with a setting it cannot read, and names every one of them', () => {
    const { code, output } = launch('trainer', { MILL_DRAIN_MS: 'soon', MILL_LOG_LEVEL: 'loud' });
    expect(output).toMatch(/MILL_DRAIN_MS.*soon/);
    expect(output).toMatch(/MILL_LOG_LEVEL.*loud/);
    expect(code).toBe(1);
  });
});
