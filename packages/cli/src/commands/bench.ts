import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CliError } from '../cli-error.js';
import type { Command } from '../command.js';

export const bench: Command = {
  name: 'bench',
  summary: 'Measures training, serving and optimization against what they stand on.',
  usage: `mill bench train [--json]
mill bench serve [--json]
mill bench optimize [--json]
mill bench gpu [--json]`,

  async run(args, { root }) {
    const entry = join(root, 'bench/dist/main.js');
    if (!existsSync(entry)) throw new CliError(`${entry} is not built: run './mill bench'`);
    process.argv = [process.argv0, entry, ...args]; // it reads its own command line, as when it is started alone
    await import(pathToFileURL(entry).href);
  },
};
