import { inference } from '@modelmill/contracts';

/** Below this, what is copied is not worth another way. */
const fewBytes = 2 ** 14;
const rawInputContents = 7;

/**
 * As the generated decoder, for well-formed messages, but that raw tensors which are most of the message are views into it: that
 * copies megabytes once less.
 */
export function decodeInferRequest(bytes: Buffer): inference.ModelInferRequest {
  const parted = bytes.length < fewBytes ? undefined : partedOf(bytes);
  if (!parted) return inference.ModelInferRequest.decode(bytes);
  const request = inference.ModelInferRequest.decode(Buffer.concat(parted.others));
  request.rawInputContents = parted.raw;
  return request;
}

/**
 * The raw tensors, and all other fields in pieces; undefined where something is unusual, or wrong: the generated decoder
 * knows. So it is where views would hold more than twice what they show.
 */
function partedOf(bytes: Buffer): { raw: Buffer[]; others: Buffer[] } | undefined {
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
    if (tag >> 3 === rawInputContents) {
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
