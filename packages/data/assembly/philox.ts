/*
 * Philox 4x32-10 (Salmon, Moraes, Dror and Shaw 2011), four blocks at a time. AssemblyScript
 * (https://www.assemblyscript.org): `sh tools/compile-kernel.sh` makes src/gen/philox-kernel.ts of it.
 */

/** Writes the words of `blocks` counters, a multiple of four: c0, c0 + 1, … above the same other three. */
export function writeWords(
  to: usize,
  blocks: i32,
  first: u32,
  second: u32,
  third: u32,
  fourth: u32,
  key0: u32,
  key1: u32,
): void {
  const factor0 = i32x4.splat(0xd2511f53);
  const factor1 = i32x4.splat(0xcd9e8d57);
  const weyl0 = i32x4.splat(0x9e3779b9);
  const weyl1 = i32x4.splat(0xbb67ae85);
  for (let b = 0; b < blocks; b += 4) {
    let c0 = i32x4.add(i32x4.splat(first + b), i32x4(0, 1, 2, 3));
    let c1 = i32x4.splat(second);
    let c2 = i32x4.splat(third);
    let c3 = i32x4.splat(fourth);
    let k0 = i32x4.splat(key0);
    let k1 = i32x4.splat(key1);
    for (let round = 0; round < 10; round++) {
      const front0 = i64x2.extmul_low_i32x4_u(c0, factor0);
      const back0 = i64x2.extmul_high_i32x4_u(c0, factor0);
      const front1 = i64x2.extmul_low_i32x4_u(c2, factor1);
      const back1 = i64x2.extmul_high_i32x4_u(c2, factor1);
      c0 = v128.xor(v128.xor(v128.shuffle<i32>(front1, back1, 1, 3, 5, 7), c1), k0);
      c1 = v128.shuffle<i32>(front1, back1, 0, 2, 4, 6);
      c2 = v128.xor(v128.xor(v128.shuffle<i32>(front0, back0, 1, 3, 5, 7), c3), k1);
      c3 = v128.shuffle<i32>(front0, back0, 0, 2, 4, 6);
      k0 = i32x4.add(k0, weyl0);
      k1 = i32x4.add(k1, weyl1);
    }
    // a word of each block in a vector; each block's four belong together
    const front01 = v128.shuffle<i32>(c0, c1, 0, 4, 1, 5);
    const front23 = v128.shuffle<i32>(c2, c3, 0, 4, 1, 5);
    const back01 = v128.shuffle<i32>(c0, c1, 2, 6, 3, 7);
    const back23 = v128.shuffle<i32>(c2, c3, 2, 6, 3, 7);
    v128.store(to, v128.shuffle<i64>(front01, front23, 0, 2));
    v128.store(to, v128.shuffle<i64>(front01, front23, 1, 3), 16);
    v128.store(to, v128.shuffle<i64>(back01, back23, 0, 2), 32);
    v128.store(to, v128.shuffle<i64>(back01, back23, 1, 3), 48);
    to += 64;
  }
}

/** Makes 0 of every word, of `count`, whose upper 24 bits are below `below`, and the float32 `kept` of the others. */
export function makeMask(words: usize, count: i32, below: i32, kept: f32): void {
  const limit = i32x4.splat(below);
  const value = f32x4.splat(kept);
  const end = words + ((<usize>count) << 2);
  for (let at = words; at < end; at += 16) {
    const isBelow = i32x4.lt_s(i32x4.shr_u(v128.load(at), 8), limit);
    v128.store(at, v128.andnot(value, isBelow));
  }
}
