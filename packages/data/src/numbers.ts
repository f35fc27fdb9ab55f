const number = /^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;

/** The number a text says in decimal, where float32 holds it; else NaN. */
export function numberIn(text: string): number {
  const value = number.test(text) ? Number(text) : NaN;
  return Number.isFinite(Math.fround(value)) ? value : NaN;
}

/** What was meant for a number and is none: 0x10, 1_000, 1e999, NaN, -inf, 2026-01-31. */
export const isNearlyNumber = (text: string) => /^[+-]?(?:[.0-9]|nan$|inf(?:inity)?$)/i.test(text);
