import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { claimState, readMeshFile, removeMeshFile, writeMeshFile } from './mesh-file.js';

describe('a state folder', () => {
  let state: string;
  beforeEach(() => void (state = mkdtempSync(join(tmpdir(), 'mill-state-'))));
  afterEach(() => rmSync(state, { recursive: true }));
  const startedAt = '2026-11-23T12:00:00Z';

  it('belongs to one mesh at a time', async () => {
    await claimState(state);
    await expect(claimState(state)).rejects.toThrow(`a mesh is already up in ${state} (process ${process.pid})`);
    await removeMeshFile(state);
    await claimState(state);
    expect((await readMeshFile(state))?.pid).toBe(process.pid);
  });

  it('of a mesh that was killed is taken over, and what it left running is ended', async () => {
    const holder = spawn(process.execPath, ['-e', '']);
    await once(holder, 'exit');
    const orphan = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', 'services/trainer/dist/main.js']);
    const bystander = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    const ended = once(orphan, 'exit');
    const left = once(bystander, 'exit');
    await Promise.all([once(orphan, 'spawn'), once(bystander, 'spawn')]);
    const processes = {
      trainer: { pid: orphan.pid, restarts: 0 },
      gateway: { pid: bystander.pid, restarts: 0 }, // its id was given to another program
    };
    await writeMeshFile(state, { pid: holder.pid!, startedAt, processes });
    try {
      await claimState(state);
      expect((await ended)[1]).toBe('SIGKILL');
    } finally {
      for (const child of [orphan, bystander]) child.kill('SIGTERM');
    }
    expect((await left)[1]).toBe('SIGTERM');
  });
});
