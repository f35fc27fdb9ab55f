import type { TensorData } from './tensor.js';

/**
 * What passes between a runner and its parent: a preamble of 16 bytes (u32 header length, u32 zero, f64 body length), a JSON
 * header, then the tensors' bytes. Header and tensors begin at multiples of 8 within the frame, so that a received
 * body can be viewed as typed arrays without a copy.
 */
export interface Frame {
  readonly header: FrameHeader;
  readonly tensors: Map<string, TensorData>;
}

export interface FrameHeader {
  readonly [field: string]: unknown;
}

type TensorEntry = readonly [name: string, datatype: string, shape: number[], bytes: number];

export const preambleBytes = 16;
const maxHeaderBytes = 16 * 2 ** 20;
const maxBodyBytes = 2 ** 31; // what a gRPC message can carry, and more than most machines want to copy
const padding = Buffer.alloc(8);

const padded = (bytes: number) => Math.ceil(bytes / 8) * 8;

/** The frame's pieces in order, tensors not copied. Throws beyond the limits. */
export function encodeFrame(header: FrameHeader, tensors: Iterable<readonly [string, TensorData]> = []): Uint8Array[] {
  const entries: TensorEntry[] = [];
  const pieces: Uint8Array[] = [];
  let bodyBytes = 0;
  for (const [name, { datatype, shape, data }] of tensors) {
    const bytes = data.byteLength;
    entries.push([name, datatype, shape, bytes]);
    if (bytes > 0) pieces.push(data);
    if (bytes % 8 !== 0) pieces.push(padding.subarray(bytes % 8));
    bodyBytes += padded(bytes);
  }
  if (bodyBytes > maxBodyBytes) throw new Error(`tensors of ${bodyBytes} bytes are beyond ${maxBodyBytes} bytes`);
  const json = JSON.stringify({ ...header, tensors: entries });
  const headerBytes = Buffer.byteLength(json);
  const front = Buffer.alloc(preambleBytes + padded(headerBytes));
  front.writeUInt32LE(headerBytes, 0);
  front.writeDoubleLE(bodyBytes, 8);
  front.write(json, preambleBytes);
  return [front, ...pieces];
}

/** Lengths of what follows a preamble, header with its padding; throws beyond the limits. */
export function decodePreamble(preamble: Buffer): {
  headerBytes: number;
  paddedHeaderBytes: number;
  bodyBytes: number;
} {
  const headerBytes = preamble.readUInt32LE(0);
  const bodyBytes = preamble.readDoubleLE(8);
  if (headerBytes > maxHeaderBytes || !(bodyBytes >= 0 && bodyBytes <= maxBodyBytes)) {
    throw new Error(`a frame of ${headerBytes} + ${bodyBytes} bytes is beyond ${maxHeaderBytes} + ${maxBodyBytes}`);
  }
  return { headerBytes, paddedHeaderBytes: padded(headerBytes), bodyBytes };
}

/** The tensors are views into `body`. */
export function decodeFrame(json: Buffer, body: Buffer): Frame {
  const header = JSON.parse(json.toString()) as FrameHeader & { tensors: readonly TensorEntry[] };
  const tensors = new Map<string, TensorData>();
  let at = 0;
  for (const [name, datatype, shape, bytes] of header.tensors) {
    if (at + bytes > body.length) throw new Error(`tensor '${name}' of ${bytes} bytes goes beyond its frame`);
    tensors.set(name, { datatype, shape, data: body.subarray(at, at + bytes) });
    at += padded(bytes);
  }
  return { header, tensors };
}

/** Cuts a stream of chunks into frames. A body in one piece is not copied. */
export function createFrameReader(onFrame: (frame: Frame) => void): (chunk: Buffer) => void {
  let wanted = preambleBytes;
  let lengths: ReturnType<typeof decodePreamble> | undefined;
  let partial: Buffer | undefined; // of `wanted` bytes, filled up to `filled`
  let filled = 0;

  function piece(bytes: Buffer) {
    if (lengths === undefined) {
      lengths = decodePreamble(bytes);
      wanted = lengths.paddedHeaderBytes + lengths.bodyBytes;
    } else {
      const { headerBytes, paddedHeaderBytes } = lengths;
      lengths = undefined;
      wanted = preambleBytes;
      onFrame(decodeFrame(bytes.subarray(0, headerBytes), bytes.subarray(paddedHeaderBytes)));
    }
  }

  return (chunk) => {
    for (let at = 0; at < chunk.length;) {
      if (partial === undefined && chunk.length - at >= wanted) {
        const whole = chunk.subarray(at, at + wanted);
        at += wanted;
        piece(whole);
        continue;
      }
      partial ??= Buffer.allocUnsafeSlow(wanted);
      const taken = chunk.copy(partial, filled, at);
      at += taken;
      filled += taken;
      if (filled === wanted) {
        const whole = partial;
        partial = undefined;
        filled = 0;
        piece(whole);
      }
    }
  };
}
