import { InvalidNameError } from './errors.js';

// These become subject tokens and KV keys: a long one drops the connection, a wildcard one reaches others' subjects.
const named = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$/;
const token = /^[a-zA-Z0-9_-]{1,64}$/;
const number = /^[1-9][0-9]{0,8}$/;

/** Whether a model, dataset or label may be called so. */
export const isName = (text: string): boolean => named.test(text);
/** Whether a job may be called so. */
export const isJobId = (text: string): boolean => token.test(text);
/** Whether it is a version number, and not a label. */
export const isVersionNumber = (text: string): boolean => number.test(text);

/** Throws InvalidNameError. */
export function checkName(what: string, text: string): void {
  if (!isName(text)) throw new InvalidNameError(what, text, 'a name of [a-zA-Z0-9][a-zA-Z0-9_-]{0,62}');
}

/** Throws InvalidNameError. */
export function checkJobId(text: string): void {
  if (!isJobId(text)) throw new InvalidNameError('job id', text, '[a-zA-Z0-9_-]{1,64}');
}

/** Throws InvalidNameError. */
export function checkToken(what: string, text: string): void {
  if (!token.test(text)) throw new InvalidNameError(what, text, '[a-zA-Z0-9_-]{1,64}');
}
