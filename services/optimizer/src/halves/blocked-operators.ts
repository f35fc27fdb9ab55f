/** Operators that compute in 32 bits: they have no 16-bit form, or lose too much in it. */
export const blockedOperators: ReadonlySet<string> = new Set(
  // what onnxconverter-common and ONNX Runtime's float16.py leave alone
  `CumSum Max Min NonMaxSuppression RandomUniformLike Range RoiAlign TopK Upsample
  ` // what makes floats of a type that an attribute says, or of one alone
    .concat(
      `Bernoulli BlackmanWindow EyeLike HammingWindow HannWindow MelWeightMatrix Multinomial RandomNormal
  RandomNormalLike RandomUniform TfIdfVectorizer ImageDecoder
  `,
    ) // integer arithmetic, whose scales are 32-bit floats
    .concat(`ConvInteger DequantizeLinear DynamicQuantizeLinear MatMulInteger QLinearConv QLinearMatMul QuantizeLinear`)
    .split(/\s+/)
    .filter((name) => name !== ''),
);

/** Operators that read floats of any width, and give none that come of them. */
export const indifferentOperators: ReadonlySet<string> = new Set(['Shape', 'Size', 'Cast', 'IsNaN', 'NonZero']);

/** Inputs that are 32-bit floats whatever the others are. */
export function wideInputs(opType: string, opset: number): readonly number[] {
  if (opType === 'Resize') return opset <= 10 ? [1] : [1, 2];
  return [];
}
