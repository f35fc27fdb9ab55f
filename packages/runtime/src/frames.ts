import type { ExchangeFiles } from './exchange-files.js';
import { memoryWithRoom } from './memory-with-room.js';
import type { TensorData } from './tensor.js';

/**
 * What passes between a runner and its parent: a preamble of 16 bytes (u32 header length, u16 where the body lies, u16 where
 * the answer's may, f64 body length), a JSON header, then the tensors' bytes. Places are 0 for right behind the header and
 * n for exchange file n - 1. Header and tensors begin at multiples of 8, so that a received body can be viewed as typed
 * arrays without a copy. Behind a header whose body lies in a file, a u32 for each part that is put there says where it ends, so
 * that one side reads while the other writes; or that the file has no more room, and the whole body follows here after all.
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

export interface Places {
  /** The exchange file for the body, if that takes it. */
  readonly file: number | undefined;
  readonly answerFile?: number;
}

/** Hands everything that goes over the channel to `send`, and the body to its file. */
export function sendFrame(
  { front, body, bodyBytes }: EncodedFrame,
  { file, answerFile }: Places,
  exchange: ExchangeFiles,
  send: (pieces: readonly Uint8Array[]) => void,
): void {
  const inFile = file !== undefined && exchange.takes(file, bodyBytes);
  front.writeUInt16LE(inFile ? file + 1 : 0, 4);
  front.writeUInt16LE(answerFile === undefined ? 0 : answerFile + 1, 6);
  if (!inFile) return send([front, ...body]);
  send([front]);
  const isPut = exchange.write(file, body, (end) => send([partEnd(end)]));
  if (!isPut) send([partEnd(bodyFollows), ...body]);
}

export const partEndBytes = 4;

/** In place of a part's end: the body comes over the channel. */
export const bodyFollows = 2 ** 32 - 1;

function partEnd(end: number): Buffer {
  const bytes = Buffer.allocUnsafe(partEndBytes);
  bytes.writeUInt32LE(end);
  return bytes;
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

/** Cuts a stream of chunks into frames. Chunks are the reader's until it returns. */
export function createFrameReader(onFrame: (frame: Frame) => void, exchange: ExchangeFiles): (chunk: Buffer) => void {
  let wanted = preambleBytes;
  let preamble: Preamble | undefined;
  /** Of a frame whose body lies in a file. */
  let parted: { readonly header: Buffer; readonly body: Buffer; readonly file: number; read: number } | undefined;
  let partial: Buffer | undefined; // of `wanted` bytes, filled up to `filled`
  let filled = 0;

  function piece(bytes: Buffer) {
    if (preamble === undefined) {
      preamble = decodePreamble(bytes);
      wanted = preamble.paddedHeaderBytes + (preamble.file === undefined ? preamble.bodyBytes : 0);
    } else if (parted !== undefined) part(parted, bytes);
    else {
      const { headerBytes, paddedHeaderBytes, bodyBytes, file } = preamble;
      const header = bytes.subarray(0, headerBytes);
      if (file === undefined) return frame(header, bytes.subarray(paddedHeaderBytes));
      parted = { header, body: memoryWithRoom(bodyBytes), file, read: 0 };
      wanted = partEndBytes;
    }
  }

  function part(of: NonNullable<typeof parted>, bytes: Buffer) {
    const { header, body, file, read } = of;
    if (bytes === body) return frame(header, body); // it came over the channel
    const end = bytes.readUInt32LE();
    if (end === bodyFollows) {
      partial = body;
      wanted = body.length;
      return;
    }
    if (end <= read || end > body.length)
      throw new Error(`a part from ${read} to ${end} is none of ${body.length} bytes`);
    exchange.read(file, body, read, end);
    of.read = end;
    if (end === body.length) frame(header, body);
  }

  function frame(header: Buffer, body: Buffer) {
    preamble = parted = undefined;
    wanted = preambleBytes;
    onFrame(decodeFrame(header, body));
  }

  return (chunk) => {
    for (let at = 0; at < chunk.length;) {
      partial ??= Buffer.allocUnsafe(wanted);
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
