import { writtenBefore } from '@modelmill/contracts';
import type { inference } from '@modelmill/contracts';
import { takeRoomBefore } from '@modelmill/runtime';

type Output = inference.ModelInferResponse_InferOutputTensor;

/**
 * Writes the fields an answer of this service has: no parameters, no typed contents. Tensor bytes are copied once, and not at
 * all where they are one tensor's with room before it; the generated encoder copies them three times.
 */
export function encodeInferResponse(response: inference.ModelInferResponse): Buffer {
  const head: number[] = [];
  text(head, 1, response.modelName);
  text(head, 2, response.modelVersion);
  text(head, 3, response.id);
  for (const output of response.outputs) message(head, 5, tensor(output));
  const [first, ...others] = response.rawOutputContents;
  if (!first) return Buffer.from(head);
  rawPrefix(head, first);
  // once: the answer may still be on its way when the same tensor is written again
  if (others.length === 0 && fills(first) && takeRoomBefore(first, head.length)) return writtenBefore(first, head);
  const pieces: Uint8Array[] = [Buffer.from(head), first];
  for (const raw of others) {
    const prefix: number[] = [];
    rawPrefix(prefix, raw);
    pieces.push(Buffer.from(prefix), raw);
  }
  return Buffer.concat(pieces);
}

/** One row of a large batch would keep all of that until it is read. */
const fills = ({ buffer, byteLength }: Uint8Array) => 2 * byteLength >= buffer.byteLength;

function rawPrefix(into: number[], raw: Uint8Array) {
  key(into, 6);
  varint(into, raw.byteLength);
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
