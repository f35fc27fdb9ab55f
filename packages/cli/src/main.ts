import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { killChildren } from './mesh/child.js';
import { runMill } from './run-mill.js';
import { createScreen } from './terminal/screen.js';

const here = dirname(fileURLToPath(import.meta.url));
const { env } = process;
const colours = !env['NO_COLOR'] && env['TERM'] !== 'dumb';

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    if (!stop.signal.aborted) return stop.abort(name);
    killChildren();
    process.exit(130);
  });
}
process.on('exit', killChildren);
process.stdout.on('error', () => process.exit(0)); // a reader such as `head` has seen enough

process.exitCode = await runMill(process.argv.slice(2), {
  root: env['MILL_ROOT'] ?? resolve(here, '../../..'),
  cwd: env['MILL_CALLED_FROM'] ?? process.cwd(),
  env,
  out: createScreen(process.stdout, { colours }),
  notes: createScreen(process.stderr, { colours }),
  stdout: process.stdout,
  stdin: process.stdin,
  signal: stop.signal,
});
