import { inference } from '@modelmill/contracts';

type Output = inference.ModelInferResponse_InferOutputTensor;

/** The service with an encoder that copies tensor bytes once; the generated one copies them three times. */
export const inferenceService = {
  ...inference.GRPCInferenceServiceService,
  modelInfer: { ...inference.GRPCInferenceServiceService.modelInfer, responseSerialize: encodeInferResponse },
} as const;

/** Writes the fields an answer of this service has: no parameters, no typed contents. */
export function encodeInferResponse(response: inference.ModelInferResponse): Buffer {
  const head: number[] = [];
  text(head, 1, response.modelName);
  text(head, 2, response.modelVersion);
  text(head, 3, response.id);
  for (const output of response.outputs) message(head, 5, tensor(output));
  const pieces: Uint8Array[] = [Buffer.from(head)];
  for (const raw of response.rawOutputContents) {
    const prefix: number[] = [];
    key(prefix, 6);
    varint(prefix, raw.byteLength);
    pieces.push(Buffer.from(prefix), raw);
  }
  return Buffer.concat(pieces);
}

function tensor({ name, datatype, shape }: Output): number[] {
  const bytes: number[] = [];
  text(bytes, 1, name);
  text(bytes, 2, datatype);
  const sizes: number[] = [];
  for (const size of shape) varint(sizes, Number(size));
  if (sizes.length > 0) message(bytes, 3, sizes);
  return bytes;
}

const lengthDelimited = 2;

function key(into: number[], field: number) {
  into.push((field << 3) | lengthDelimited);
}

/** Sizes are not negative and far below 2^53. */
function varint(into: number[], value: number) {
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) into.push((rest % 128) | 128);
  into.push(rest);
}

function message(into: number[], field: number, bytes: readonly number[]) {
  key(into, field);
  varint(into, bytes.length);
  for (const byte of bytes) into.push(byte);
}

function text(into: number[], field: number, value: string) {
  if (value === '') return;
  const bytes = Buffer.from(value);
  key(into, field);
  varint(into, bytes.length);
  for (const byte of bytes) into.push(byte);
}
