import { parseArgs } from 'node:util';
import type { ParseArgsConfig } from 'node:util';
import { UsageError } from './cli-error.js';
import { errorMessage } from './system-error.js';

type Options = NonNullable<ParseArgsConfig['options']>;

/** Flags and the words between them. Throws UsageError for what the command does not know. */
export function readArgs<const O extends Options>(args: readonly string[], options: O) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    const [first = ''] = errorMessage(error).split('. ');
    throw new UsageError(first.charAt(0).toLowerCase() + first.slice(1), { cause: error });
  }
}

/** Exactly the words that are named; an optional one ends with `?`. */
export function words<const Names extends readonly string[]>(
  given: readonly string[],
  ...names: Names
): { [I in keyof Names]: Names[I] extends `${string}?` ? string | undefined : string } {
  for (const [index, name] of names.entries()) {
    if (given[index] === undefined && !name.endsWith('?')) throw new UsageError(`${name} is missing`);
  }
  if (given.length > names.length) throw new UsageError(`'${given[names.length]}' is one word too many`);
  return names.map((_, index) => given[index]) as {
    [I in keyof Names]: Names[I] extends `${string}?` ? string | undefined : string;
  };
}

/** A flag's number within bounds. */
export function numberFlag(name: string, text: string, { min, max }: { min: number; max: number }): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= min && value <= max)) {
    throw new UsageError(`--${name} is '${text}', wanted a number from ${min} to ${max}`);
  }
  return value;
}

/** The sub-command that the first word names; none: the first of the table. */
export function pick<T>(table: Readonly<Record<string, T>>, args: readonly string[]): [T, readonly string[]] {
  const [word, ...rest] = args;
  const names = Object.keys(table);
  if (word === undefined || word.startsWith('-')) return [table[names[0]!]!, args];
  if (!Object.hasOwn(table, word)) throw new UsageError(`'${word}' is none of ${names.join(', ')}`);
  return [table[word]!, rest];
}
