/** Smaller memory is collected at little cost. */
const leastBytes = 2 ** 20;
const mostKeptBytes = 2 ** 26;
const idleMs = 10_000;
const whole = new WeakSet<ArrayBufferLike>();
const sole = new WeakSet<ArrayBufferLike>();
/** For the next messages: new memory costs a fault for every page. */
const kept: ArrayBuffer[] = [];
let keptBytes = 0;
let idle: NodeJS.Timeout | undefined;

/** Memory for one message, which goes with it where somebody says so: `letGo`. What is in it is anything. */
export function soleMemory(bytes: number): Buffer {
  if (bytes < leastBytes) return Buffer.allocUnsafe(bytes);
  const memory = wholeMemory(bytes);
  makeSole(memory);
  return memory;
}

/** Memory in which nothing else lies. It is nobody's to let go before `makeSole`. */
export function wholeMemory(bytes: number): Buffer {
  if (bytes < leastBytes) return Buffer.allocUnsafeSlow(bytes);
  const buffer = takeKept(bytes) ?? Buffer.allocUnsafeSlow(bytes).buffer;
  whole.add(buffer);
  return Buffer.from(buffer, 0, bytes);
}

/** Says that who has this has all that anybody will look at in its memory. */
export function makeSole({ buffer }: Uint8Array): void {
  if (whole.has(buffer)) sole.add(buffer);
}

/**
 * Takes the memory of a message from it, where it is large and the message has it to itself: V8 would collect its whole heap
 * for every few of them. Whoever looks at it later finds it empty. Nobody may be writing from it.
 */
export function letGo({ buffer }: Uint8Array): void {
  if (!sole.delete(buffer)) return;
  const memory = (buffer as ArrayBuffer).transfer(); // the same memory, which the views before do not see any more
  if (keptBytes + memory.byteLength > mostKeptBytes) return free(memory);
  kept.push(memory);
  keptBytes += memory.byteLength;
  clearTimeout(idle);
  idle = setTimeout(freeKept, idleMs).unref();
}

function takeKept(bytes: number): ArrayBuffer | undefined {
  const found = kept.findIndex(({ byteLength }) => byteLength >= bytes && byteLength <= 1.25 * bytes);
  if (found < 0) return undefined;
  const [memory] = kept.splice(found, 1);
  keptBytes -= memory!.byteLength;
  return memory;
}

function freeKept(): void {
  for (const memory of kept.splice(0)) free(memory);
  keptBytes = 0;
}

const free = (memory: ArrayBuffer) => void memory.transfer(0);
