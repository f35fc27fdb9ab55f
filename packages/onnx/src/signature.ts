import { OnnxFormatError } from './model.js';
import type { Model, ValueInfo } from './model.js';
import { oipDatatype } from './tensor.js';

export interface TensorSignature {
  readonly name: string;
  /** Open Inference Protocol datatype: FP32, INT64, … */
  readonly datatype: string;
  /** -1 is a variable dimension. */
  readonly shape: number[];
}

export interface Signature {
  readonly inputs: TensorSignature[];
  readonly outputs: TensorSignature[];
}

/** What a model takes and gives. Inputs that an initializer fills are none of the caller's. */
export function signatureOf({ graph }: Model): Signature {
  const fed = graph.inputs.filter(({ name }) => !graph.initializers.has(name) && !graph.sparseInitializers.has(name));
  return { inputs: fed.map(tensorSignature), outputs: graph.outputs.map(tensorSignature) };
}

function tensorSignature(value: ValueInfo): TensorSignature {
  if (value.dataType === undefined) throw new OnnxFormatError(`'${value.name}' is no tensor, which cannot be served`);
  const datatype = oipDatatype(value.dataType);
  if (datatype === undefined) {
    throw new OnnxFormatError(`'${value.name}' has elements of ${value.dataType}, which cannot be served`);
  }
  return {
    name: value.name,
    datatype,
    shape: (value.shape ?? []).map((dim) => (typeof dim === 'number' ? dim : -1)),
  };
}
