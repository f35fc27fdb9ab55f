import { OnnxFormatError } from '@modelmill/onnx';
import type { Tensor } from '@modelmill/onnx';

/** Throws OnnxFormatError naming the weight and where it is none. */
export function expectFinite({ name }: Tensor, values: Float32Array): void {
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) throw new OnnxFormatError(`weight '${name}' is ${values[at]} at ${at}, wants a finite number`);
}
