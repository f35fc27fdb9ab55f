import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';

/** How a child ended, in words: `exit code 1`, `SIGKILL`. */
export type Ending = string;

/** A process of the mesh. */
export interface Child {
  readonly pid: number | undefined;
  readonly exited: Promise<Ending>;
  /** SIGTERM, and SIGKILL when it is still there after `patienceMs`. */
  end(patienceMs: number): Promise<void>;
}

export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Everything it prints is appended here. */
  readonly logPath: string;
  onLine(line: string): void;
}

const living = new Set<number>();

/** Ends every child at once, with what it started itself; for a second Ctrl-C, and for the end of this process. */
export function killChildren(): void {
  for (const pid of living) signalGroup(pid, 'SIGKILL');
  living.clear();
}

/** Starts a child in a process group of its own, so that a terminal's Ctrl-C reaches us alone and we end it in order. */
export function startChild({ command, args, env, logPath, onLine }: ChildOptions): Child {
  const child = spawn(command, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const { pid } = child;
  if (pid !== undefined) living.add(pid);
  const log = createWriteStream(logPath, { flags: 'a' });
  log.on('error', () => {}); // a full disk must not end the mesh
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      log.write(`${line}\n`);
      onLine(line);
    });
  }
  const exited = new Promise<Ending>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  void exited.then(() => {
    if (pid !== undefined) living.delete(pid);
    log.end();
  });
  return {
    pid,
    exited,
    async end(patienceMs) {
      if (pid === undefined || !living.has(pid)) return;
      child.kill('SIGTERM');
      const late = setTimeout(() => signalGroup(pid, 'SIGKILL'), patienceMs);
      await exited;
      clearTimeout(late);
    },
  };
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}
