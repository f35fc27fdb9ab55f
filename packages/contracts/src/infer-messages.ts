import { ModelInferRequest, ModelInferResponse } from './gen/inference/grpc_service.js';

/** Below this, what is copied is not worth another way. */
const fewBytes = 2 ** 14;
const rawInputContents = 7;
const rawOutputContents = 6;

/**
 * As the generated decoder, for well-formed messages, but that raw tensors which are most of the message are views into it: that
 * copies megabytes once less.
 */
export function decodeInferRequest(bytes: Buffer): ModelInferRequest {
  const parted = partedOf(bytes, rawInputContents);
  if (!parted) return ModelInferRequest.decode(bytes);
  const request = ModelInferRequest.decode(Buffer.concat(parted.others));
  request.rawInputContents = parted.raw;
  return request;
}

/** The same of an answer. */
export function decodeInferResponse(bytes: Buffer): ModelInferResponse {
  const parted = partedOf(bytes, rawOutputContents);
  if (!parted) return ModelInferResponse.decode(bytes);
  const response = ModelInferResponse.decode(Buffer.concat(parted.others));
  response.rawOutputContents = parted.raw;
  return response;
}

/** What the generated encoder writes, in pieces: raw tensors are not copied, where that one copies them three times. */
export function inferRequestPieces(request: ModelInferRequest): Uint8Array[] {
  const pieces: Uint8Array[] = [ModelInferRequest.encode({ ...request, rawInputContents: [] }).finish()];
  for (const tensor of request.rawInputContents) pieces.push(rawPrefix(rawInputContents, tensor.byteLength), tensor);
  return pieces;
}

/**
 * The same in one piece: a single raw tensor is not copied, either, where what goes before it fits into the `room` of so many
 * bytes right before it. The encoder writes there.
 */
export function encodeInferRequest(request: ModelInferRequest, room = 0): Buffer {
  const { rawInputContents: tensors } = request;
  const pieces = inferRequestPieces(request);
  const [only] = tensors;
  if (only === undefined || tensors.length > 1) return Buffer.concat(pieces);
  const head = Buffer.concat(pieces.slice(0, -1));
  if (head.byteLength > room) return Buffer.concat([head, only]);
  return writtenBefore(only, head);
}

/** The bytes and the tensor, in the tensor's memory, which has to have free room before it. */
export function writtenBefore({ buffer, byteOffset, byteLength }: Uint8Array, bytes: ArrayLike<number>): Buffer {
  const whole = Buffer.from(buffer, byteOffset - bytes.length, bytes.length + byteLength);
  whole.set(bytes);
  return whole;
}

function rawPrefix(field: number, bytes: number): Uint8Array {
  const prefix = [(field << 3) | lengthDelimited];
  for (let rest = bytes; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...prefix, rest]);
    prefix.push((rest % 128) | 128);
  }
}

/**
 * The raw tensors, and all other fields in pieces; undefined where something is unusual, or wrong: the generated decoder
 * knows. So it is where views would hold more than twice what they show.
 */
function partedOf(bytes: Buffer, rawField: number): { raw: Buffer[]; others: Buffer[] } | undefined {
  if (bytes.length < fewBytes) return undefined;
  const raw: Buffer[] = [];
  const others: Buffer[] = [];
  let rawBytes = 0;
  let from = 0;
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at]!;
    const length = lengthAt(bytes, at + 1);
    // of one byte are the tags of fields 1 to 15
    if (!length || tag > 127 || tag >> 3 === 0 || (tag & 7) !== lengthDelimited) return undefined;
    const end = length.end + length.value;
    if (end > bytes.length) return undefined;
    if (tag >> 3 === rawField) {
      if (at > from) others.push(bytes.subarray(from, at));
      raw.push(bytes.subarray(length.end, end));
      rawBytes += length.value;
      from = end;
    }
    at = end;
  }
  if (2 * rawBytes < bytes.length) return undefined;
  others.push(bytes.subarray(from));
  return { raw, others };
}

const lengthDelimited = 2;
const longestLength = 5;

function lengthAt(bytes: Buffer, from: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let i = 0; i < longestLength; i++) {
    const byte = bytes[from + i];
    if (byte === undefined) return undefined;
    value += (byte & 127) * 2 ** (7 * i);
    if (byte < 128) return { value, end: from + i + 1 };
  }
  return undefined;
}
