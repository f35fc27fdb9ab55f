import { MillError, SpecError } from '@modelmill/client';
import { CliError, UsageError } from './cli-error.js';
import type { Cli, Command } from './command.js';
import { commands } from './commands.js';
import { errorMessage } from './system-error.js';
import { helpText, usageText } from './help.js';

/** Runs one command line; resolves with the exit code. Every error is one line: `mill: …`. */
export async function runMill(args: readonly string[], cli: Cli): Promise<number> {
  const [word = 'help', ...rest] = args;
  const name = word === '--help' || word === '-h' ? 'help' : word;
  try {
    if (name === 'help') return help(rest, cli);
    const command = commands.find((one) => one.name === name);
    if (!command) throw new UsageError(`'${name}' is no command; 'mill help' lists them`);
    if (rest.includes('--help') || rest.includes('-h')) return help([name], cli);
    return await runCommand(command, rest, cli);
  } catch (error) {
    return report(error, name, cli);
  }
}

async function runCommand(command: Command, args: readonly string[], cli: Cli): Promise<number> {
  try {
    return (await command.run(args, cli)) ?? 0;
  } finally {
    cli.out.clear();
    cli.notes.clear();
  }
}

function help([name]: readonly string[], cli: Cli): number {
  if (name === undefined) {
    cli.out.print(helpText(commands, cli.out.paint));
    return 0;
  }
  const command = commands.find((one) => one.name === name);
  if (!command) throw new UsageError(`'${name}' is no command; 'mill help' lists them`);
  cli.out.print(usageText(command, cli.out.paint));
  return 0;
}

function report(error: unknown, name: string, { notes, signal }: Cli): number {
  if (error instanceof UsageError) {
    notes.print(`mill: ${error.message}`);
    if (commands.some((one) => one.name === name)) notes.print(`mill: see 'mill help ${name}'`);
    return 2;
  }
  if (signal.aborted) {
    notes.print('mill: interrupted'); // whatever failed failed for that reason
    return 130;
  }
  notes.print(`mill: ${oneLine(error)}`);
  return 1;
}

function oneLine(error: unknown): string {
  if (error instanceof MillError) return `${error.message} (${error.codeName})`;
  if (error instanceof CliError || error instanceof SpecError) return error.message;
  return errorMessage(error);
}
