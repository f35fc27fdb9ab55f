/** Smaller memory is collected at little cost. */
const leastBytes = 2 ** 20;
const sole = new WeakSet<ArrayBufferLike>();

/** Memory for one message, which goes with it where somebody says so: `letGo`. */
export function soleMemory(bytes: number): Buffer {
  if (bytes < leastBytes) return Buffer.allocUnsafe(bytes);
  const memory = Buffer.allocUnsafeSlow(bytes);
  sole.add(memory.buffer);
  return memory;
}

/**
 * Frees the memory of a message now, where it is large and the message has it to itself: V8 would collect its whole heap for every
 * few of them. Whoever looks at it later finds it empty. Nobody may be writing from it.
 */
export function letGo({ buffer }: Uint8Array): void {
  if (sole.delete(buffer)) (buffer as ArrayBuffer).transfer(0);
}
