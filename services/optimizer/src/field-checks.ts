import * as errors from './errors.js';

/** A number from `lo` to `hi`. */
export function range(value: number, lo: number, hi: number, field: string): number {
  if (!(value >= lo && value <= hi)) throw errors.outOfRange(field, value, `${lo} to ${hi}`);
  return value;
}

/** One of the words allowed. */
export function word<const Words extends readonly string[]>(got: string, allowed: Words, field: string): Words[number] {
  const found = allowed.find((candidate) => candidate === got);
  if (found === undefined) throw errors.badWord(field, got, allowed);
  return found;
}
