/** Memory for all that is awaited is taken when this part of it has come: to tell a length alone costs a sender nothing. */
const earnest = 1 / 16;
const leastBytes = 256;

/** Bytes of memory to take for so many that are here, of `all` that are said to come. */
export const roomFor = (bytes: number, all: number): number =>
  bytes >= all * earnest ? all : Math.min(all, Math.max(2 * bytes, leastBytes));
