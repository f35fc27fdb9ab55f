import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';

export const root = resolve(__dirname, '../..');

/** Runs a tool of node_modules from the repository root; its exit code and everything it printed. */
export function runTool(tool: string, ...args: string[]): { code: number | null; output: string } {
  const path = `${resolve(root, 'node_modules/.bin')}:${process.env['PATH']}`;
  const run = spawnSync(tool, args, {
    cwd: root,
    env: { ...process.env, PATH: path },
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  return { code: run.status, output: `${run.stdout ?? ''}${run.stderr ?? ''}${run.error ? String(run.error) : ''}` };
}
