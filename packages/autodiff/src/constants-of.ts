import { floatsOf, intsOf } from '@modelmill/onnx';
import type { Value } from './value.js';

/** The numbers of an operand that is constant; none where it is not. */
export function constantsOf(value: Value | undefined): number[] {
  if (value?.source.kind === 'constant') return Array.from(value.source.values);
  if (value?.source.kind !== 'tensor') return [];
  const { tensor } = value.source;
  return tensor.dataType === 'float' || tensor.dataType === 'double' ? Array.from(floatsOf(tensor)) : intsOf(tensor);
}
