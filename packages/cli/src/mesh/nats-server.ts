import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Member } from './supervisor.js';

/** Bounds of a nats-server on one developer's machine. The port is the server's choice at first, and kept from then on. */
const configOf = (folder: string) => `server_name: mill
listen: 127.0.0.1:-1
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
  const config = join(folder, 'nats.conf');
  await writeFile(config, configOf(folder));
  let port = 0;
  return {
    name: 'nats-server',
    command: 'nats-server',
    logPath,
    args: () => ['-c', config, ...(port === 0 ? [] : ['-p', String(port)])],
    env,
    onLine(line) {
      port = Number(/Listening for client connections on .*:(\d+)$/.exec(line)?.[1] ?? port);
      return line.includes('Server is ready');
    },
    url: () => `nats://127.0.0.1:${port}`,
  };
}
