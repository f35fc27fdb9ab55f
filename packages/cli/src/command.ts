import type { Output, Screen } from './terminal/screen.js';

/** What a command works with; only main.ts looks at the process. */
export interface Cli {
  /** Folder of the repository. */
  readonly root: string;
  /** Folder that file arguments are relative to. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly out: Screen;
  /** Progress and notes, so that stdout stays for results. */
  readonly notes: Screen;
  readonly stdout: Output;
  readonly stdin: AsyncIterable<Uint8Array | string> & { readonly isTTY?: boolean | undefined };
  /** Aborts at the first Ctrl-C. */
  readonly signal: AbortSignal;
}

/** One word after `mill`. */
export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** How it is called, each form on a line, then what its flags mean. */
  readonly usage: string;
  /** Resolves with the exit code; nothing means 0. */
  run(args: readonly string[], cli: Cli): Promise<number | void>;
}
