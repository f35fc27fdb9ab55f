/**
 * Makes the numbers of least magnitude among all of these arrays zero, in place, so that max(round(n(1 − sparsity)), 1) of
 * n stay (Zhu and Gupta 2017). Of equal magnitudes the earlier go first, so the count is exact.
 */
export function zeroSmallest(arrays: readonly Float32Array[], sparsity: number): void {
  const count = arrays.reduce((total, { length }) => total + length, 0);
  const zeros = count - Math.max(Math.round(count * (1 - sparsity)), 1);
  if (zeros <= 0) return;
  const magnitudes = new Float32Array(count);
  let offset = 0;
  for (const values of arrays) for (const value of values) magnitudes[offset++] = Math.abs(value);
  magnitudes.sort();
  const threshold = magnitudes[zeros - 1]!;
  let atThreshold = zeros - magnitudes.indexOf(threshold);
  for (const values of arrays) {
    for (let i = 0; i < values.length; i++) {
      const magnitude = Math.abs(values[i]!);
      if (magnitude < threshold || (magnitude === threshold && atThreshold-- > 0)) values[i] = 0;
    }
  }
}
