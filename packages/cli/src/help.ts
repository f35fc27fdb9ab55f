import type { Command } from './command.js';
import type { Paint } from './terminal/paint.js';

/** The list of commands. */
export function helpText(commands: readonly Command[], paint: Paint): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    `${paint.bold('mill')} trains, shrinks and serves neural networks.`,
    '',
    ...commands.map(({ name, summary }) => `  ${paint.bold(name.padEnd(width))}  ${summary}`),
    '',
    `'mill help COMMAND' tells more. 'mill demo' shows all of it in about a minute.`,
  ].join('\n');
}

/** One command's page. */
export function usageText({ name, summary, usage }: Command, paint: Paint): string {
  return [`${paint.bold(`mill ${name}`)}: ${summary}`, '', usage].join('\n');
}
