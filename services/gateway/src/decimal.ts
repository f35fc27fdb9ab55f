/** Where a reader stands in its bytes. */
export interface DecimalCursor {
  at: number;
  /** Becomes false at a number with a point or an exponent. */
  whole: boolean;
}

const [plus, minus, point, zero, e] = [0x2b, 0x2d, 0x2e, 0x30, 0x65] as const;
const isDigit = (byte: number | undefined) => (byte! ^ zero) < 10;

/** The powers of ten that doubles hold exactly. */
export const exactPowers = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));
/** Any digit behind a lesser integer leaves it one that a double holds. */
export const mostBefore = 900_719_925_474_099;

/**
 * The double that `Number` gives for a JSON number's text, ±Infinity beyond all doubles, in most cases without making a string
 * of it. The cursor goes behind the number. NaN where there is none.
 */
export function readDecimal(bytes: Buffer, cursor: DecimalCursor): number {
  const from = cursor.at;
  const negative = bytes[from] === minus;
  const first = negative ? from + 1 : from;
  let at = first;
  let head = 0; // the digits as an integer, as far as a double holds it
  let tail = 0; // the digits behind
  let tailDigits = 0;
  let behindPoint = -1;
  for (; ; at++) {
    const digit = bytes[at]! ^ zero;
    if (digit < 10) {
      if (head < mostBefore) head = head * 10 + digit;
      else {
        tail = tail * 10 + digit;
        tailDigits++;
      }
    } else if (bytes[at] === point && behindPoint < 0) behindPoint = at + 1;
    else break;
  }
  if (!isDigit(bytes[first]) || (bytes[first] === zero && isDigit(bytes[first + 1])) || at === behindPoint) return NaN;
  let power = behindPoint < 0 ? 0 : behindPoint - at;
  if (behindPoint >= 0) cursor.whole = false;
  if ((bytes[at]! | 0x20) === e) {
    cursor.whole = false;
    cursor.at = at + 1;
    power += readExponent(bytes, cursor);
    at = cursor.at;
  }
  cursor.at = at;
  const size = Number.isNaN(power) ? NaN : (nearest(head, tail, tailDigits, power) ?? slow(bytes, first, at));
  return negative ? -size : size;
}

function readExponent(bytes: Uint8Array, cursor: DecimalCursor): number {
  const sign = bytes[cursor.at];
  if (sign === minus || sign === plus) cursor.at++;
  if (!isDigit(bytes[cursor.at])) return NaN;
  let exponent = 0;
  for (; isDigit(bytes[cursor.at]); cursor.at++) exponent = exponent * 10 + (bytes[cursor.at]! ^ zero);
  return sign === minus ? -exponent : exponent;
}

const slow = (bytes: Buffer, from: number, to: number) => Number(bytes.toString('latin1', from, to));

/**
 * The double nearest to (head + tail / 10^tailDigits) · 10^(power + tailDigits), where that is quickly known. One product or
 * quotient of exact numbers is rounded once (Clinger, 1990); a tail is added to what that quotient left.
 */
function nearest(head: number, tail: number, tailDigits: number, power: number): number | undefined {
  const shift = power + tailDigits;
  if (tailDigits === 0) {
    if (shift >= 0) return shift < 23 ? head * exactPowers[shift]! : undefined;
    return shift > -23 ? head / exactPowers[-shift]! : undefined;
  }
  if (power === 0 && tailDigits <= 5) {
    // an integer as the sum of two that are exact
    const low = (head % 2 ** 32) * exactPowers[tailDigits]! + tail;
    return Math.floor(head / 2 ** 32) * exactPowers[tailDigits]! * 2 ** 32 + low;
  }
  if (tailDigits > 15 || shift > 0 || shift < -22) return undefined;
  const divisor = exactPowers[-shift]!;
  const quotient = head / divisor;
  const left = remainder(head, quotient, divisor);
  const more = tail / exactPowers[tailDigits]!;
  const doubt = (Math.abs(left) + more) * 2 ** -48;
  const low = quotient + (left + more - doubt) / divisor;
  return low === quotient + (left + more + doubt) / divisor ? low : undefined;
}

/** What is left of a dividend, exactly: the product of quotient and divisor as a sum of two doubles (Dekker, 1971). */
function remainder(dividend: number, quotient: number, divisor: number): number {
  const product = quotient * divisor;
  const a = upperHalf(quotient);
  const b = upperHalf(divisor);
  const [c, d] = [quotient - a, divisor - b];
  const error = a * b - product + a * d + c * b + c * d;
  return dividend - product - error;
}

function upperHalf(value: number): number {
  const wide = value * (2 ** 27 + 1);
  return wide - (wide - value);
}
