import type { Graph, Tensor } from '@modelmill/onnx';

/** Values that are constants: initializers, and what Constant nodes hold. */
export function constantsOf({ initializers, nodes }: Graph): ReadonlyMap<string, Tensor> {
  const constants = new Map(initializers);
  for (const { opType, domain, outputs, attributes } of nodes) {
    const value = opType === 'Constant' && domain === '' ? attributes.get('value') : undefined;
    if (value?.kind === 'tensor') constants.set(outputs[0]!, value.value);
  }
  return constants;
}
