import { grown, letGo } from '@modelmill/wire';

/** A message as gRPC frames it: one byte that says whether it is compressed, four of length, itself. */
const prefixBytes = 5;
/** Below this, a message is copied behind its prefix: one piece of memory costs less than two. */
const copiedBytes = 2 ** 13;

const nothing = Buffer.alloc(0);

/** The first message of a stream, as its pieces come. It keeps copies of them. */
export class MessageGatherer {
  /** Of the message; -1 while its length is not known. */
  length = -1;
  compressed = false;
  /** Grows with what comes. */
  #memory: Buffer = nothing;
  #bytes = 0;

  /** Takes a piece; bytes beyond the message's end are counted and not kept. */
  add(piece: Buffer): void {
    if (piece.length === 0) return;
    const at = this.#bytes;
    this.#bytes += piece.length;
    if (at === 0) this.#readPrefix(piece);
    if (this.isBeyond()) return;
    const all = this.length < 0 ? Infinity : prefixBytes + this.length;
    this.#memory = grown(this.#memory, at, this.#bytes, all);
    this.#memory.set(piece, at);
    this.#readPrefix(this.#memory);
  }

  #readPrefix(begun: Buffer): void {
    if (this.length >= 0 || this.#bytes < prefixBytes) return;
    this.compressed = begun[0] !== 0;
    this.length = begun.readUInt32BE(1);
  }

  /** How many bytes from there on are the message's; of its prefix, where that does not say yet how long it is. */
  missing(bytes: Buffer, at: number): number {
    if (this.length >= 0) return prefixBytes + this.length - this.#bytes;
    if (this.#bytes > 0 || bytes.length - at < prefixBytes) return prefixBytes - this.#bytes;
    return prefixBytes + bytes.readUInt32BE(at + 1);
  }

  isEmpty(): boolean {
    return this.#bytes === 0;
  }

  /** Whether the message is here, and nothing but it. */
  isWhole(): boolean {
    return this.length >= 0 && this.#bytes === prefixBytes + this.length;
  }

  /** Whether more came than the message. */
  isBeyond(): boolean {
    return this.length >= 0 && this.#bytes > prefixBytes + this.length;
  }

  /** The message, once it is whole. */
  take(): Buffer {
    const bytes = this.#memory.subarray(prefixBytes, this.#bytes);
    this.#memory = nothing;
    return bytes;
  }

  /** Frees what was not taken. */
  clear(): void {
    letGo(this.#memory);
    this.#memory = nothing;
  }
}

/** A message with its prefix, in as many pieces as cost least: large ones are not copied. */
export function framedMessage(message: Buffer): readonly Buffer[] {
  const isCopied = message.length < copiedBytes;
  const head = Buffer.allocUnsafe(isCopied ? prefixBytes + message.length : prefixBytes);
  head[0] = 0;
  head.writeUInt32BE(message.length, 1);
  if (!isCopied) return [head, message];
  head.set(message, prefixBytes);
  return [head];
}
