import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive } from './mesh-file.js';
import { supervise } from './supervisor.js';
import type { Member, MemberChange } from './supervisor.js';

describe('a member of the mesh', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mill-supervisor-'));
  const logPath = join(folder, 'member.log');
  afterAll(() => rmSync(folder, { recursive: true }));

  const member = (script: string): Member => ({
    name: 'member',
    command: process.execPath,
    logPath,
    args: () => ['-e', script],
    env: () => ({ PATH: process.env['PATH'] }),
    onLine: (line) => line === 'serving',
  });
  const serving = `console.log('serving'); setInterval(() => {}, 1000)`;

  it('is started again when it dies, until it is stopped', async () => {
    const changes: MemberChange[] = [];
    let onBack: () => void = () => {};
    const back = new Promise<void>((resolve) => (onBack = resolve));
    const supervised = await supervise(member(serving), (change) => {
      changes.push(change);
      if (change.kind === 'serving' && change.restarts === 1) onBack();
    });
    const [first] = changes;
    if (first?.kind !== 'serving') throw new Error('not serving');
    process.kill(first.pid!, 'SIGKILL');
    await back;
    await supervised.stop(5_000);
    expect(changes.map(({ kind }) => kind)).toEqual(['serving', 'ended', 'serving']);
    expect(changes[1]).toMatchObject({ ending: 'SIGKILL', restarts: 1, againInMs: 250 });
    const last = changes.at(-1);
    expect(last?.kind === 'serving' && isAlive(last.pid!)).toBe(false);
    expect(readFileSync(logPath, 'utf8')).toContain('serving');
  });

  it('that cannot start is told with its last words', async () => {
    const words = `console.log(JSON.stringify({ event: 'cannot start', message: 'no NATS' })); process.exit(1)`;
    await expect(supervise(member(words), () => {})).rejects.toThrow('member could not start: no NATS');
  });

  it('that is not installed is told', async () =>
    expect(supervise({ ...member(''), command: 'no-such-program' }, () => {})).rejects.toThrow(
      /member could not start: .*ENOENT/,
    ));

  it('that ignores the wish to end is killed after a while', async () => {
    const deaf = `process.on('SIGTERM', () => {}); ${serving}`;
    const pids: (number | undefined)[] = [];
    const supervised = await supervise(member(deaf), (change) => change.kind === 'serving' && pids.push(change.pid));
    await supervised.stop(50);
    expect(isAlive(pids[0]!)).toBe(false);
  });
});
