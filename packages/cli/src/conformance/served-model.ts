import type { inference } from '@modelmill/client';

type Tensor = inference.ModelMetadataResponse_TensorMetadata;
type Contents = inference.InferTensorContents;

/** A model of the server under test, and one request that it can answer. */
export interface ServedModel {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

/** Name of a datatype: bytes of an element, and where its typed contents go; none where there is no such place. */
export const datatypes: Readonly<Record<string, readonly [bytes: number, contents: keyof Contents | undefined]>> = {
  BOOL: [1, 'boolContents'],
  INT8: [1, 'intContents'],
  INT16: [2, 'intContents'],
  INT32: [4, 'intContents'],
  INT64: [8, 'int64Contents'],
  UINT8: [1, 'uintContents'],
  UINT16: [2, 'uintContents'],
  UINT32: [4, 'uintContents'],
  UINT64: [8, 'uint64Contents'],
  FP16: [2, undefined],
  BF16: [2, undefined],
  FP32: [4, 'fp32Contents'],
  FP64: [8, 'fp64Contents'],
  BYTES: [0, 'bytesContents'],
};

/** Open sizes are 1. */
export const shapeOf = ({ shape }: Tensor): bigint[] => shape.map((size) => (size < 0n ? 1n : size));
const count = (tensor: Tensor) => Number(shapeOf(tensor).reduce((product, size) => product * size, 1n));

/** Zeros, or texts of one letter: what any model should take. */
export function rawZeros(tensor: Tensor): Buffer {
  const [bytes] = datatypes[tensor.datatype]!;
  return bytes > 0
    ? Buffer.alloc(count(tensor) * bytes)
    : Buffer.from('010000006100'.slice(0, 10).repeat(count(tensor)), 'hex');
}

/** Undefined where the datatype has no typed form. */
export function typedZeros(tensor: Tensor): Contents | undefined {
  const [, field] = datatypes[tensor.datatype]!;
  if (field === undefined) return undefined;
  const zero = { boolContents: false, int64Contents: 0n, uint64Contents: 0n, bytesContents: Buffer.from('a') }[
    field as string
  ];
  const none: Contents = {
    boolContents: [],
    intContents: [],
    int64Contents: [],
    uintContents: [],
    uint64Contents: [],
    fp32Contents: [],
    fp64Contents: [],
    bytesContents: [],
  };
  return { ...none, [field]: Array.from({ length: count(tensor) }, () => zero ?? 0) };
}

/** Undefined where the datatype has no JSON. */
export function jsonZeros(tensor: Tensor): unknown[] | undefined {
  if (tensor.datatype === 'FP16' || tensor.datatype === 'BF16') return undefined;
  const zero = tensor.datatype === 'BOOL' ? false : tensor.datatype === 'BYTES' ? 'a' : 0;
  return Array.from({ length: count(tensor) }, () => zero);
}

/** A request with raw contents for every input. */
export const rawRequest = (
  model: ServedModel,
  changes: Partial<inference.ModelInferRequest> = {},
): inference.ModelInferRequest => ({
  modelName: model.name,
  modelVersion: '',
  id: '',
  parameters: {},
  inputs: model.inputs.map((input) => ({
    name: input.name,
    datatype: input.datatype,
    shape: shapeOf(input),
    parameters: {},
    contents: undefined,
  })),
  outputs: [],
  rawInputContents: model.inputs.map(rawZeros),
  ...changes,
});

/** A request body in JSON; undefined where an input has no JSON form. */
export function jsonRequest(model: ServedModel, changes: object = {}): object | undefined {
  const inputs = model.inputs.map((input) => ({
    name: input.name,
    datatype: input.datatype,
    shape: shapeOf(input).map(Number),
    data: jsonZeros(input),
  }));
  return inputs.some(({ data }) => data === undefined) ? undefined : { inputs, ...changes };
}

/** A request body with every input, and every output, binary; and its headers. */
export function binaryRequest(model: ServedModel, changes: object = {}) {
  const tensors = model.inputs.map(rawZeros);
  const inputs = model.inputs.map((input, i) => ({
    name: input.name,
    datatype: input.datatype,
    shape: shapeOf(input).map(Number),
    parameters: { binary_data_size: tensors[i]!.length },
  }));
  const head = Buffer.from(JSON.stringify({ inputs, parameters: { binary_data_output: true }, ...changes }));
  const headers = {
    'inference-header-content-length': String(head.length),
    'content-type': 'application/octet-stream',
  };
  return { body: Buffer.concat([head, ...tensors]), headers };
}
