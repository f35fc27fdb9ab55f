import { floatOfHalf, halfBits } from './half.js';

/** As IEEE 754 says. */
function valueOf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 0x3ff;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

describe('halves', () => {
  const finite = [...Array(0x7c00).keys()];

  it('keep every number they have', () => {
    const wrong = finite.filter(
      (bits) => halfBits(valueOf(bits)) !== bits || halfBits(-valueOf(bits)) !== (bits | 0x8000),
    );
    expect(wrong).toEqual([]);
  });

  it('are the numbers that they stand for', () => {
    expect(finite.filter((bits) => floatOfHalf(bits) !== valueOf(bits))).toEqual([]);
    expect([0x8001, 0x7c00, 0xfc00, 0x7e00].map(floatOfHalf)).toEqual([-(2 ** -24), Infinity, -Infinity, NaN]);
  });

  it('take the nearest, and the even one of two as near', () => {
    const wrong = finite.slice(0, -1).filter((bits) => {
      const [low, high] = [valueOf(bits), valueOf(bits + 1)];
      const even = bits % 2 === 0 ? bits : bits + 1;
      const nearer = [low + 0.49 * (high - low), low + 0.51 * (high - low)].map(halfBits);
      return halfBits((low + high) / 2) !== even || nearer[0] !== bits || nearer[1] !== bits + 1;
    });
    expect(wrong).toEqual([]);
  });

  it.each([
    [1e9, 0x7bff],
    [-Infinity, 0xfbff],
    [NaN, 0x7e00],
    [2 ** -25, 0],
    [1.01 * 2 ** -25, 1],
    [2 ** -26, 0],
  ])('take %d as %i', (value, bits) => expect(halfBits(value)).toBe(bits));
});
