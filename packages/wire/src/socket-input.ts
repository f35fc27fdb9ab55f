import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

const bufferBytes = 2 ** 17;
let shared: Buffer | undefined;

/**
 * Tells the bytes that come. They are the taker's until it returns: sockets read into the same memory each time, as
 * `onread` has it in `net.connect`, where a stream takes new memory for every 64 KiB, which has to be collected. A socket
 * that a server accepted has no such option, so its parts are told by hand, where this Node has them; else it is a stream.
 */
export function onInput(socket: Duplex, take: (bytes: Buffer) => void): void {
  if (!(socket instanceof Socket && readsInto(socket, take))) socket.on('data', take);
}

/** One for all: libuv reads and tells it before it reads for another socket, but on Windows, where it reads ahead. */
function memoryToRead(): Buffer {
  if (process.platform === 'win32') return Buffer.allocUnsafeSlow(bufferBytes);
  return (shared ??= Buffer.allocUnsafeSlow(bufferBytes));
}

interface Parts {
  readonly _handle?: { useUserBuffer?(buffer: Buffer): void } | null;
  [part: symbol]: unknown;
}

function readsInto(socket: Socket, take: (bytes: Buffer) => void): boolean {
  const parts = socket as Socket & Parts;
  const known = Object.getOwnPropertySymbols(socket);
  const named = (name: string) => known.find(({ description }) => description === name);
  const [memory, callback] = [named('kBuffer'), named('kBufferCb')];
  if (memory === undefined || callback === undefined || !parts._handle?.useUserBuffer) return false;
  const buffer = memoryToRead();
  parts[memory] = buffer;
  parts[callback] = (bytes: number) => take(buffer.subarray(0, bytes));
  parts._handle.useUserBuffer(buffer);
  socket.resume();
  return true;
}
