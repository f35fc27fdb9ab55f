import { OnnxFormatError, floatsOf } from '@modelmill/onnx';
import type { Tensor } from '@modelmill/onnx';
import { halfBits } from '../pack/half.js';

/** The largest half, and the smallest that is not 0. */
export const largestHalf = 65_504;
export const smallestHalf = 2 ** -24;

export interface HalfTensor {
  readonly tensor: Tensor;
  /** Numbers that halves cannot come near to: beyond the largest, or between 0 and the smallest. */
  readonly clamped: number;
}

/** A constant in 16 bits: what is too large becomes the largest half, what is too small the smallest. NaN is refused. */
export function halfTensor(tensor: Tensor): HalfTensor {
  let clamped = 0;
  const bits = Uint16Array.from(floatsOf(tensor), (value, i) => {
    if (Number.isNaN(value)) {
      throw new OnnxFormatError(`constant '${tensor.name}' is NaN at ${i}, wants a number`);
    }
    if (!Number.isFinite(value)) return value > 0 ? 0x7c00 : 0xfc00;
    const size = Math.abs(value);
    if (size > largestHalf || (size > 0 && size < smallestHalf)) clamped++;
    return halfBits(size > 0 && size < smallestHalf ? Math.sign(value) * smallestHalf : value);
  });
  return { tensor: { ...tensor, dataType: 'float16', bytes: new Uint8Array(bits.buffer) }, clamped };
}
