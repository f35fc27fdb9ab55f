import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Member } from './supervisor.js';

/** Bounds of a nats-server on one developer's machine. The port is the server's choice at first, and kept from then on. */
const configOf = (folder: string, port: number) => `server_name: mill
listen: 127.0.0.1:${port === 0 ? -1 : port}
ports_file_dir: ${JSON.stringify(folder)}
max_payload: 1MB
jetstream {
  store_dir: ${JSON.stringify(join(folder, 'jetstream'))}
  max_mem: 64MB
  max_file: 2GB
}
`;

/** A nats-server with its own folder and a free loopback port; `url` is known once it serves. */
export async function natsServer(
  state: string,
  env: Member['env'],
  logPath: string,
): Promise<Member & { url(): string }> {
  const folder = join(state, 'nats');
  await mkdir(folder, { recursive: true });
  for (const file of portsFiles(folder)) rmSync(join(folder, file));
  const config = join(folder, 'nats.conf');
  await writeFile(config, configOf(folder, 0));
  let port = 0;
  return {
    name: 'nats-server',
    command: 'nats-server',
    logPath,
    args: () => ['-c', config, ...(port === 0 ? [] : ['-p', String(port)])],
    env,
    onLine(line) {
      if (!line.includes('Server is ready')) return false;
      if (port === 0) port = portIn(folder);
      return true;
    },
    url: () => `nats://127.0.0.1:${port}`,
  };
}

const portsFiles = (folder: string) => readdirSync(folder).filter((name) => name.endsWith('.ports'));

function portIn(folder: string): number {
  const [file = ''] = portsFiles(folder);
  const { nats } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as { nats: readonly [string] };
  return Number(new URL(nats[0]).port);
}
