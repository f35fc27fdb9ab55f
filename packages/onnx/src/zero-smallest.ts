/**
 * Makes the numbers of least magnitude among all of these arrays zero, in place, so that max(round(n(1 − sparsity)), 1) of
 * n stay (Zhu and Gupta 2017). Of equal magnitudes the earlier go first, so the count is exact.
 */
export function zeroSmallest(arrays: readonly Float32Array[], sparsity: number): void {
  const count = arrays.reduce((total, { length }) => total + length, 0);
  const zeros = count - Math.max(Math.round(count * (1 - sparsity)), 1);
  if (zeros <= 0) return;
  const [threshold, below] = magnitudeAt(arrays, zeros - 1);
  let atThreshold = zeros - below;
  for (const values of arrays) {
    for (let i = 0; i < values.length; i++) {
      const magnitude = Math.abs(values[i]!);
      if (magnitude < threshold || (magnitude === threshold && atThreshold-- > 0)) values[i] = 0;
    }
  }
}

const halfBits = 16;
const halves = 2 ** halfBits;

/**
 * The magnitude at a place of all in ascending order, and how many are less. The bits of magnitudes are in the order of
 * their values, so two counts of halves of them find it, without a copy to sort.
 */
function magnitudeAt(arrays: readonly Float32Array[], place: number): [magnitude: number, less: number] {
  const [high, before] = binOf(place, arrays, (bits) => bits >>> halfBits);
  const [low, less] = binOf(place - before, arrays, (bits) => (bits >>> halfBits === high ? bits & (halves - 1) : -1));
  const found = new Float32Array(Uint32Array.of(high * halves + low).buffer);
  return [found[0]!, before + less];
}

/** The bin that holds a place, and how many are in the bins before it; -1 is no bin. */
function binOf(
  place: number,
  arrays: readonly Float32Array[],
  binFor: (magnitude: number) => number,
): [bin: number, before: number] {
  const counts = new Float64Array(halves);
  for (const { buffer, byteOffset, length } of arrays) {
    for (const bits of new Uint32Array(buffer, byteOffset, length)) {
      const bin = binFor(bits & 0x7fffffff);
      if (bin >= 0) counts[bin]!++;
    }
  }
  let before = 0;
  for (let bin = 0; ; bin++) {
    const next = before + counts[bin]!;
    if (next > place) return [bin, before];
    before = next;
  }
}
