import { setTimeout as delay } from 'node:timers/promises';
import { CliError } from '../cli-error.js';
import { startChild } from './child.js';
import type { Child } from './child.js';

/** One member of the mesh: what to start, and how to see that it serves. */
export interface Member {
  readonly name: string;
  readonly command: string;
  readonly logPath: string;
  /** Asked before every start: later starts must listen where the first one did. */
  args(): readonly string[];
  env(): Readonly<Record<string, string | undefined>>;
  /** Whether this printed line says that it serves. */
  onLine(line: string): boolean;
}

export type MemberChange =
  | { kind: 'serving'; name: string; pid: number | undefined; restarts: number }
  | { kind: 'ended'; name: string; ending: string; restarts: number; againInMs: number };

/** A member that is started again whenever it dies. */
export interface Supervised {
  readonly name: string;
  /** Ends it for good. */
  stop(patienceMs: number): Promise<void>;
}

const firstBackoffMs = 250;
const longestBackoffMs = 10_000;
const calmMs = 30_000;

/** Resolves when the member serves for the first time; rejects with its last words when it ends before that. */
export async function supervise(member: Member, onChange: (change: MemberChange) => void): Promise<Supervised> {
  const stopping = new AbortController();
  let child: Child;
  let restarts = 0;

  function start(): Promise<'serving' | { ending: string; lastLine: string }> {
    let lastLine = '';
    return new Promise((resolve) => {
      child = startChild({
        command: member.command,
        args: member.args(),
        env: member.env(),
        logPath: member.logPath,
        onLine(line) {
          if (line.trim() !== '') lastLine = line;
          if (!member.onLine(line)) return;
          onChange({ kind: 'serving', name: member.name, pid: child.pid, restarts });
          resolve('serving');
        },
      });
      void child.exited.then((ending) => resolve({ ending, lastLine }));
    });
  }

  async function keepUp(): Promise<void> {
    for (let failures = 0; ; failures++) {
      const startedAt = Date.now();
      const ending = await child.exited;
      if (stopping.signal.aborted) return;
      if (Date.now() - startedAt > calmMs) failures = 0;
      restarts += 1;
      const againInMs = Math.min(longestBackoffMs, firstBackoffMs * 2 ** failures);
      onChange({ kind: 'ended', name: member.name, ending, restarts, againInMs });
      await delay(againInMs, undefined, { signal: stopping.signal }).catch(() => {}); // stopped: seen below
      if (stopping.signal.aborted) return;
      void start();
    }
  }

  const first = await start();
  if (first !== 'serving') throw new CliError(`${member.name} could not start: ${lastWords(first, member.logPath)}`);
  const kept = keepUp();
  return {
    name: member.name,
    async stop(patienceMs) {
      stopping.abort();
      await child.end(patienceMs);
      await kept;
    },
  };
}

/** Services log JSON; what a person wants to read is in `msg`, `message`, `reason` or `error`. */
function lastWords({ ending, lastLine }: { ending: string; lastLine: string }, logPath: string): string {
  if (lastLine === '') return `${ending} (log: ${logPath})`;
  if (!lastLine.startsWith('{')) return lastLine;
  try {
    const fields = JSON.parse(lastLine) as Record<string, unknown>;
    const text = ['message', 'reason', 'error', 'msg', 'event']
      .map((key) => fields[key])
      .find((v) => typeof v === 'string');
    return typeof text === 'string' ? text : lastLine;
  } catch {
    return lastLine;
  }
}
