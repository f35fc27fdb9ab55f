import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { connectMill } from '@modelmill/client';
import type { Mill } from '@modelmill/client';
import { CliError } from './cli-error.js';
import type { Cli } from './command.js';
import { isAlive, readMeshFile } from './mesh/mesh-file.js';
import type { MeshFile } from './mesh/mesh-file.js';

/** Flags of every command that talks to a mesh. */
export const connectionFlags = {
  address: { type: 'string' },
  key: { type: 'string' },
  state: { type: 'string' },
} as const;

export const connectionUsage = `  --address HOST:PORT  gRPC door of a mesh (or MILL_ADDRESS); default: the mesh of this machine
  --key KEY            its API key (or MILL_API_KEY)
  --state FOLDER       state folder of the mesh, default .mill`;

export interface ConnectionFlags {
  readonly address?: string | undefined;
  readonly key?: string | undefined;
  readonly state?: string | undefined;
}

/** Where a mesh listens and how to be let in. */
export interface Target {
  readonly address: string;
  readonly apiKey: string | undefined;
  /** The mesh of this machine, where it is that one. */
  readonly mesh?: MeshFile | undefined;
}

export const stateFolder = ({ state }: { readonly state?: string | undefined }, cli: Cli) =>
  state === undefined ? join(cli.root, '.mill') : resolve(cli.cwd, state);

/** The mesh that flags or variables name, or the one that is up on this machine: `mill up`'s, or else the demo's. */
export async function findMesh(flags: ConnectionFlags, cli: Cli): Promise<Target> {
  const address = flags.address ?? cli.env['MILL_ADDRESS'];
  const key = flags.key ?? cli.env['MILL_API_KEY'];
  if (address !== undefined) return { address, apiKey: key };
  const state = stateFolder(flags, cli);
  for (const folder of [state, join(state, 'demo')]) {
    const mesh = await readMeshFile(folder);
    if (mesh?.grpc && isAlive(mesh.pid)) {
      const apiKey = key ?? (await readFile(join(folder, 'api-key'), 'utf8')).trim();
      return { address: mesh.grpc, apiKey, mesh };
    }
  }
  throw new CliError(`no mesh is up: start one with 'mill up', or name one with --address (looked in ${state})`);
}

/** A client of that mesh. */
export async function connect(flags: ConnectionFlags, cli: Cli): Promise<Mill> {
  return connectMill(await findMesh(flags, cli));
}
