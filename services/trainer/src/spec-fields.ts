import { activations } from '@modelmill/autodiff';
import type { Activation } from '@modelmill/autodiff';
import { badWord, outOfRange } from './errors.js';

/** A whole number from 1 to 65,536. */
export function positive(value: number, field: string): number {
  if (!Number.isInteger(value) || value < 1 || value > 65_536) throw outOfRange(field, value, '1 to 65,536');
  return value;
}

/** As `positive`; 0 stands for the default. */
export const positiveOr = (otherwise: number, value: number, field: string): number =>
  value === 0 ? otherwise : positive(value, field);

/** lo ≤ value ≤ hi. */
export function range(value: number, lo: number, hi: number, field: string): number {
  if (!(value >= lo && value <= hi)) throw outOfRange(field, value, `${lo} to ${hi}`);
  return value;
}

/** lo ≤ value < hi. */
export function within(value: number, lo: number, hi: number, field: string): number {
  if (!(value >= lo && value < hi)) throw outOfRange(field, value, `at least ${lo} and less than ${hi}`);
  return value;
}

/** A share of elements to zero. */
export const share = (value: number, field: string): number => within(value, 0, 1, field);

/** What is added to a variance; 0 stands for 1e-5. */
export const epsilonOf = (value: number, field: string): number => within(value || 1e-5, 0, 1, field);

/** One size for both axes, or height and width. */
export function pair(sizes: readonly number[], field: string): [number, number] {
  const [height, width = height] = sizes;
  if (height === undefined || width === undefined || sizes.length > 2) {
    throw outOfRange(field, `[${sizes.join(', ')}]`, 'one size, or height and width');
  }
  return [positive(height, field), positive(width, field)];
}

export function word<const Words extends readonly string[]>(got: string, allowed: Words, field: string): Words[number] {
  const found = allowed.find((candidate) => candidate === got);
  if (found === undefined) throw badWord(field, got, allowed);
  return found;
}

/** An activation that may be left out. */
export const optional = (activation: string, at: string): { activation?: Activation } =>
  activation === '' ? {} : { activation: word(activation, activations, `${at}.activation`) };

/** Biases are the default. */
export const biased = (withoutBias: boolean): { bias?: false } => (withoutBias ? { bias: false } : {});
