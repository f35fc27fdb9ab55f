import { memoryWithRoom } from './memory-with-room.js';
import type { TensorData } from './tensor.js';

/**
 * What passes between a runner and its parent: a preamble of 16 bytes (u32 header length, u16 where the body lies, u16 where
 * the answer's may, f64 body length), a JSON header, then the tensors' bytes. Places are 0 for right behind the header and
 * n for exchange file n - 1. Header and tensors begin at multiples of 8, so that a received body can be viewed as typed
 * arrays without a copy.
 */
export interface Frame {
  readonly header: FrameHeader;
  readonly tensors: Map<string, TensorData>;
}

/** A frame in bytes, the tensors not copied. */
export interface EncodedFrame {
  /** Preamble and header. */
  readonly front: Buffer;
  readonly body: readonly Uint8Array[];
  readonly bodyBytes: number;
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

/** Throws beyond the limits. */
export function encodeFrame(header: FrameHeader, tensors: Iterable<readonly [string, TensorData]> = []): EncodedFrame {
  const entries: TensorEntry[] = [];
  const body: Uint8Array[] = [];
  let bodyBytes = 0;
  for (const [name, { datatype, shape, data }] of tensors) {
    const bytes = data.byteLength;
    entries.push([name, datatype, shape, bytes]);
    if (bytes > 0) body.push(data);
    if (bytes % 8 !== 0) body.push(padding.subarray(bytes % 8));
    bodyBytes += padded(bytes);
  }
  if (bodyBytes > maxBodyBytes) throw new Error(`tensors of ${bodyBytes} bytes are beyond ${maxBodyBytes} bytes`);
  const json = JSON.stringify({ ...header, tensors: entries });
  const headerBytes = Buffer.byteLength(json);
  const front = Buffer.alloc(preambleBytes + padded(headerBytes));
  front.writeUInt32LE(headerBytes, 0);
  front.writeDoubleLE(bodyBytes, 8);
  front.write(json, preambleBytes);
  return { front, body, bodyBytes };
}

/** What is to be sent of a frame: all of it, or where `file` holds the body the rest. */
export function addressed(
  { front, body }: EncodedFrame,
  { file, answerFile }: { readonly file: number | undefined; readonly answerFile?: number },
): readonly Uint8Array[] {
  front.writeUInt16LE(file === undefined ? 0 : file + 1, 4);
  front.writeUInt16LE(answerFile === undefined ? 0 : answerFile + 1, 6);
  return file === undefined ? [front, ...body] : [front];
}

export interface Preamble {
  readonly headerBytes: number;
  readonly paddedHeaderBytes: number;
  readonly bodyBytes: number;
  /** The exchange file that holds the body; undefined: it follows the header. */
  readonly file: number | undefined;
  /** The exchange file that the answer's body may be put into. */
  readonly answerFile: number | undefined;
}

/** Throws beyond the limits. */
export function decodePreamble(preamble: Buffer): Preamble {
  const headerBytes = preamble.readUInt32LE(0);
  const bodyBytes = preamble.readDoubleLE(8);
  if (headerBytes > maxHeaderBytes || !(bodyBytes >= 0 && bodyBytes <= maxBodyBytes)) {
    throw new Error(`a frame of ${headerBytes} + ${bodyBytes} bytes is beyond ${maxHeaderBytes} + ${maxBodyBytes}`);
  }
  return {
    headerBytes,
    paddedHeaderBytes: padded(headerBytes),
    bodyBytes,
    file: fileOf(preamble.readUInt16LE(4)),
    answerFile: fileOf(preamble.readUInt16LE(6)),
  };
}

const fileOf = (place: number) => (place === 0 ? undefined : place - 1);

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

/** Cuts a stream of chunks into frames. A body in one piece is not copied; those in exchange files are read by `readFile`. */
export function createFrameReader(
  onFrame: (frame: Frame) => void,
  readFile: (file: number, into: Buffer) => void,
): (chunk: Buffer) => void {
  let wanted = preambleBytes;
  let preamble: Preamble | undefined;
  let partial: Buffer | undefined; // of `wanted` bytes, filled up to `filled`
  let filled = 0;

  function piece(bytes: Buffer) {
    if (preamble === undefined) {
      preamble = decodePreamble(bytes);
      wanted = preamble.paddedHeaderBytes + (preamble.file === undefined ? preamble.bodyBytes : 0);
    } else {
      const { headerBytes, paddedHeaderBytes, bodyBytes, file } = preamble;
      preamble = undefined;
      wanted = preambleBytes;
      let body = bytes.subarray(paddedHeaderBytes);
      if (file !== undefined) readFile(file, (body = memoryWithRoom(bodyBytes)));
      onFrame(decodeFrame(bytes.subarray(0, headerBytes), body));
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
