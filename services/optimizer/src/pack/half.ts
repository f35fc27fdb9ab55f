const largest = 65504;
const scratch = new DataView(new ArrayBuffer(4));

/** Bits of the nearest IEEE 754 half, ties to even; what is too large becomes the largest. NaN stays NaN. */
export function halfBits(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  scratch.setFloat32(0, Math.min(Math.max(value, -largest), largest));
  const bits = scratch.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 127;
  const fraction = bits & 0x7fffff;
  if (exponent < -25) return sign;
  // below 2^-14 halves have no leading 1 of their own
  const shift = exponent < -14 ? -1 - exponent : 13;
  const whole = exponent < -14 ? fraction | 0x800000 : ((exponent + 15) << 23) | fraction;
  const kept = whole >>> shift;
  const rest = whole & ((1 << shift) - 1);
  const tie = 1 << (shift - 1);
  const up = rest > tie || (rest === tie && (kept & 1) === 1);
  return sign | (kept + (up ? 1 : 0));
}

/** What a half is, exactly. */
export function floatOfHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
