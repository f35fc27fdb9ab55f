import { InvalidNameError } from './errors.js';

export const eventPrefix = 'mill.event.';
const token = /^[a-zA-Z0-9_-]{1,64}$/;
const longest = 8;

/** Throws InvalidNameError when it is not tokens between dots. */
export function checkSubject(subject: string): void {
  const tokens = subject.split('.');
  if (tokens.length > longest || !tokens.every((part) => token.test(part))) {
    throw new InvalidNameError('event subject', subject, `up to ${longest} tokens of [a-zA-Z0-9_-]{1,64} between dots`);
  }
}

/** Throws InvalidNameError when it is not tokens, `*` and a last `>` between dots. */
export function checkPattern(pattern: string): void {
  const parts = pattern.split('.');
  const fits = (part: string, at: number) =>
    token.test(part) || part === '*' || (part === '>' && at === parts.length - 1);
  if (parts.length > longest || !parts.every(fits)) {
    throw new InvalidNameError('event filter', pattern, `up to ${longest} tokens, '*' or a last '>' between dots`);
  }
}

/** Whether a subject matches a pattern, as NATS sees it. */
export function matches(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.');
  const got = subject.split('.');
  if (wanted.at(-1) === '>') {
    return got.length >= wanted.length && wanted.slice(0, -1).every((part, at) => part === '*' || part === got[at]);
  }
  return wanted.length === got.length && wanted.every((part, at) => part === '*' || part === got[at]);
}
