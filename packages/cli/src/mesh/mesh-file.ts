import { readFileSync } from 'node:fs';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CliError } from '../cli-error.js';
import { errorCode } from '../system-error.js';

/** What is running, for other commands: `mesh.json` in the state folder. */
export interface MeshFile {
  /** The process that holds the mesh. */
  readonly pid: number;
  /** host:port of the gRPC door; unset until the mesh serves. */
  readonly grpc?: string | undefined;
  /** URL of the REST door. */
  readonly rest?: string | undefined;
  readonly nats?: string | undefined;
  readonly startedAt: string;
  readonly processes: Readonly<Record<string, { readonly pid?: number | undefined; readonly restarts: number }>>;
}

const pathIn = (state: string) => join(state, 'mesh.json');

export async function readMeshFile(state: string): Promise<MeshFile | undefined> {
  try {
    return JSON.parse(await readFile(pathIn(state), 'utf8')) as MeshFile;
  } catch (error) {
    if (error instanceof SyntaxError || errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

export async function writeMeshFile(state: string, mesh: MeshFile): Promise<void> {
  const part = `${pathIn(state)}.${process.pid}.part`;
  await writeFile(part, `${JSON.stringify(mesh, null, 2)}\n`);
  await rename(part, pathIn(state));
}

export const removeMeshFile = (state: string) => rm(pathIn(state), { force: true });

/** Makes the state folder this process's own; ends what a killed predecessor left running. Throws when a mesh is up. */
export async function claimState(state: string): Promise<void> {
  await mkdir(state, { recursive: true });
  const mesh: MeshFile = { pid: process.pid, startedAt: new Date().toISOString(), processes: {} };
  const claim = `${pathIn(state)}.${process.pid}.claim`;
  await writeFile(claim, JSON.stringify(mesh));
  try {
    // A link appears whole or not at all, and never in the place of another.
    while (!(await linked(claim, pathIn(state)))) {
      const holder = await holderOf(state);
      if (holder !== undefined) throw new CliError(`a mesh is already up in ${state} (process ${holder})`);
    }
  } finally {
    await rm(claim, { force: true });
  }
}

/** The living process that holds a state folder. Of one that was killed, what it left running is ended. */
export async function holderOf(state: string): Promise<number | undefined> {
  const mesh = await readMeshFile(state);
  if (mesh && isAlive(mesh.pid)) return mesh.pid;
  for (const { pid } of Object.values(mesh?.processes ?? {})) if (pid !== undefined) endOrphan(pid, state);
  await removeMeshFile(state);
  return undefined;
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM'; // there, and another user's
  }
}

/** Ids are given out again: only a process whose command line is one of ours is ended. */
function endOrphan(pid: number, state: string): void {
  try {
    const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    if (/services.\w+.dist.main\.js/.test(line) || line.includes(state)) process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already, or a system without /proc, where its own watch over its parent has to do.
  }
}
