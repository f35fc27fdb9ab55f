import { elementBytes } from '@modelmill/runtime';
import type { TensorData } from '@modelmill/runtime';

export type FloatValues = Float32Array | Float64Array;

/** Floating-point elements, over the same memory where they lie aligned in it; undefined for all others. */
export function floatValues({ datatype, data }: Pick<TensorData, 'datatype' | 'data'>): FloatValues | undefined {
  if (!datatype.startsWith('FP')) return undefined;
  const size = elementBytes(datatype)!;
  const { buffer, byteOffset, byteLength } = data.byteOffset % size === 0 ? data : new Uint8Array(data);
  const count = byteLength / size;
  switch (datatype) {
    case 'FP64':
      return new Float64Array(buffer, byteOffset, count);
    case 'FP32':
      return new Float32Array(buffer, byteOffset, count);
    case 'FP16':
      return Float32Array.from(new Uint16Array(buffer, byteOffset, count), halfValue);
    default:
      return undefined;
  }
}

/** IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits. */
function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
