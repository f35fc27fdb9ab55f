import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

const bufferBytes = 2 ** 17;

/**
 * Tells the bytes that come. They are the taker's until it returns: a socket reads into the same memory each time, as
 * `onread` has it in `net.connect`, where a stream takes new memory for every 64 KiB, which has to be collected. A socket
 * that a server accepted has no such option, so its parts are told by hand, where this Node has them; else it is a stream.
 */
export function onInput(socket: Duplex, take: (bytes: Buffer) => void): void {
  if (!readsInto(socket, Buffer.allocUnsafeSlow(bufferBytes), take)) socket.on('data', take);
}

interface Parts {
  readonly _handle?: { useUserBuffer?(buffer: Buffer): void } | null;
  [part: symbol]: unknown;
}

function readsInto(socket: Duplex, buffer: Buffer, take: (bytes: Buffer) => void): boolean {
  if (!(socket instanceof Socket)) return false;
  const parts = socket as Socket & Parts;
  const known = Object.getOwnPropertySymbols(socket);
  const named = (name: string) => known.find(({ description }) => description === name);
  const [memory, callback] = [named('kBuffer'), named('kBufferCb')];
  if (memory === undefined || callback === undefined || !parts._handle?.useUserBuffer) return false;
  parts[memory] = buffer;
  parts[callback] = (bytes: number) => take(buffer.subarray(0, bytes));
  parts._handle.useUserBuffer(buffer);
  socket.resume();
  return true;
}
