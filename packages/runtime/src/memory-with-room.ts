import { wholeMemory } from '@modelmill/wire';

/** A multiple of 8; what an answer says before the bytes of its only tensor is rarely more. */
const roomBytes = 1024;
const roomy = new WeakSet<ArrayBufferLike>();

/** Memory for tensors, with free bytes before it: whoever sends it on can write there what goes before it. */
export function memoryWithRoom(bytes: number): Buffer {
  const memory = wholeMemory(roomBytes + bytes);
  roomy.add(memory.buffer);
  return memory.subarray(roomBytes);
}

/** How many bytes right before a tensor nobody else writes to: of several in one memory, the first that is not empty has them. */
export const roomBefore = ({ buffer, byteOffset, byteLength }: Uint8Array): number =>
  byteLength > 0 && byteOffset === roomBytes && roomy.has(buffer) ? roomBytes : 0;

/** Whether there is so much room; who asks may write there, and nobody after him. */
export function takeRoomBefore(tensor: Uint8Array, bytes: number): boolean {
  return bytes <= roomBefore(tensor) && roomy.delete(tensor.buffer);
}
