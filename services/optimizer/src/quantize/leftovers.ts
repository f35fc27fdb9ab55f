import type { Model } from '@modelmill/onnx';

/** What ONNX Runtime's own optimization of a quantized model left undone: it decides how fast the model is. */
export interface Leftovers {
  /** QuantizeLinear and DequantizeLinear that are run as nodes of their own. */
  readonly pairs: number;
  /** Convolutions and products with constant matrices that compute in floats. */
  readonly floatProducts: number;
  /** Those that compute in integers. */
  readonly integerProducts: number;
}

const floats = new Set(['Conv', 'FusedConv', 'Gemm', 'FusedGemm', 'MatMul', 'FusedMatMul']);
const integers = /^(QLinearConv|QLinearMatMul|QGemm|ConvInteger|MatMulInteger.*|DynamicQuantizeMatMul|MatMulNBits)$/;

/** Counts them in the model that ONNX Runtime wrote (`optimizedModelFilePath`). */
export function leftovers({ graph }: Model): Leftovers {
  const constants = new Set(graph.initializers.keys());
  for (const { opType, inputs, outputs } of graph.nodes) {
    if (opType === 'DequantizeLinear' && constants.has(inputs[0]!)) constants.add(outputs[0]!);
  }
  const count = (isOne: (opType: string) => boolean) => graph.nodes.filter(({ opType }) => isOne(opType)).length;
  return {
    pairs: count((opType) => opType === 'QuantizeLinear' || opType === 'DequantizeLinear'),
    floatProducts: graph.nodes.filter(({ opType, inputs }) => {
      return floats.has(opType) && constants.has(inputs[1] ?? '');
    }).length,
    integerProducts: count((opType) => integers.test(opType)),
  };
}

/** As a report tells it. */
export const leftoversInWords = ({ integerProducts, floatProducts, pairs }: Leftovers): string =>
  `As ONNX Runtime runs it, ${integerProducts} products compute in integers and ${floatProducts} in floats; ` +
  `${pairs} QuantizeLinear and DequantizeLinear are left over.`;
