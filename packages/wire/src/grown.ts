import { letGo, soleMemory } from './sole-memory.js';

/** Memory for all that is awaited is taken when this part of it has come: to tell a length alone costs a sender nothing. */
const earnest = 1 / 16;
const leastBytes = 256;

/** Memory of `bytes` and more, of `all` that are said to come, that begins with the `kept` ones of another, which is let go. */
export function grown(memory: Buffer, kept: number, bytes: number, all: number): Buffer {
  if (bytes <= memory.length) return memory;
  const room = bytes >= all * earnest ? all : Math.min(all, Math.max(2 * bytes, leastBytes));
  const larger = soleMemory(Math.max(bytes, room));
  memory.copy(larger, 0, 0, kept);
  letGo(memory);
  return larger;
}
