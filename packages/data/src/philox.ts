import { kernelBase64 } from './gen/philox-kernel.js';
import { openKernel, pageBytes } from './open-kernel.js';

/** packages/data/assembly/philox.ts; places are in bytes. */
interface Kernel {
  writeWords(to: number, blocks: number, ...counterAndKey: readonly number[]): void;
  makeMask(words: number, count: number, below: number, kept: number): void;
}

export type Counter = readonly [number, number, number, number];
export type Key = readonly [number, number];

/** Words drawn at a time, at most. */
export const mostWords = 2 ** 16;

/** The first page is the compiler's. */
const place = pageBytes;
/** Words that the kernel makes together: four blocks of four. */
const together = 16;

let opened: { readonly kernel: Kernel; readonly words: Uint32Array; readonly floats: Float32Array } | undefined;

/** Once for all. */
function open() {
  const { kernel, memory } = openKernel<Kernel>(kernelBase64, 1 + (4 * mostWords) / pageBytes);
  return {
    kernel,
    words: new Uint32Array(memory.buffer, place, mostWords),
    floats: new Float32Array(memory.buffer, place, mostWords),
  };
}

/**
 * Philox 4x32-10 (Salmon, Moraes, Dror and Shaw 2011): four random words that are a function of a 128-bit counter and a
 * 64-bit key. No state: the same place gives the same words, in whatever order it is asked. These are `count` words,
 * `mostWords` at most, of this counter and those that follow it by their first 32 bits. They last until the next are drawn.
 */
export function philox(count: number, counter: Counter, key: Key): Uint32Array {
  const { kernel, words } = (opened ??= open());
  kernel.writeWords(place, Math.ceil(count / together) * 4, ...counter, ...key);
  return words.subarray(0, count);
}

/** Such words as a mask: 0 where the upper 24 bits are below `below`, `kept` elsewhere. */
export function philoxMask(
  count: number,
  counter: Counter,
  key: Key,
  { below, kept }: { readonly below: number; readonly kept: number },
): Float32Array {
  const { kernel, floats } = (opened ??= open());
  philox(count, counter, key);
  kernel.makeMask(place, count, below, kept);
  return floats.subarray(0, count);
}
