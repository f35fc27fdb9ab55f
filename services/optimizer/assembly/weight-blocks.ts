/*
 * Writes columns of a float matrix in blocks of few bits, four columns at a time. AssemblyScript
 * (https://www.assemblyscript.org): `sh tools/compile-kernel.sh` makes src/gen/weight-blocks-kernel.ts of it.
 *
 * `values` are float32 [k, width], width a multiple of four; `scales` and `zeros` float32 [width, blocks]; `packed`
 * [width, blocks, block · bits / 8] bytes, a multiple of four for each block.
 */

const none = f32x4.splat(0);
const one = f32x4.splat(1);
const half = f32x4.splat(0.5);

/** Round to nearest, ties up: what is below zero is cut off by who asks. */
function rounded(values: v128): v128 {
  const whole = f32x4.floor(values);
  // floor(value + 0.5) in float32 would round twice
  return f32x4.add(whole, v128.and(f32x4.ge(f32x4.sub(values, whole), half), one));
}

/** A value for each of four columns, `step` bytes from one to the next. */
function loadFour(at: usize, step: usize): v128 {
  return f32x4(load<f32>(at), load<f32>(at + step), load<f32>(at + 2 * step), load<f32>(at + 3 * step));
}

function storeFour(at: usize, step: usize, four: v128): void {
  v128.store_lane<u32>(at, four, 0);
  v128.store_lane<u32>(at + step, four, 1);
  v128.store_lane<u32>(at + 2 * step, four, 2);
  v128.store_lane<u32>(at + 3 * step, four, 3);
}

/** Round to nearest: symmetric, the first weight of largest magnitude on the end of the range; otherwise min to max, 0 included. */
export function nearestGrids(
  values: usize,
  k: i32,
  width: i32,
  block: i32,
  bits: i32,
  symmetric: bool,
  scales: usize,
  zeros: usize,
): void {
  const blocks = (k + block - 1) / block;
  const most = f32x4.splat(<f32>((1 << bits) - 1));
  const middle = <f32>(1 << (bits - 1));
  const row = (<usize>width) << 2;
  const column = (<usize>blocks) << 2;
  for (let b = 0; b < blocks; b++) {
    const first = b * block;
    const rows = min(block, k - first);
    for (let c = 0; c < width; c += 4) {
      const from = values + <usize>first * row + ((<usize>c) << 2);
      let least = none;
      let greatest = none;
      for (let i = 0, at = from; i < rows; i++, at += row) {
        const four = v128.load(at);
        least = f32x4.pmin(least, four);
        greatest = f32x4.pmax(greatest, four);
      }
      let scale: v128;
      let zero: v128;
      if (symmetric) {
        const below = f32x4.neg(least);
        let end = v128.bitselect(least, greatest, f32x4.gt(below, greatest));
        let open = v128.and(f32x4.eq(below, greatest), f32x4.gt(greatest, none));
        for (let i = 0, at = from; i < rows && v128.any_true(open); i++, at += row) {
          const four = v128.load(at);
          const found = v128.and(open, f32x4.eq(f32x4.abs(four), greatest));
          end = v128.bitselect(four, end, found);
          open = v128.andnot(open, found);
        }
        scale = f32x4.div(end, f32x4.splat(-middle));
        zero = f32x4.splat(middle);
      } else {
        scale = f32x4.div(f32x4.sub(greatest, least), most);
        const wanted = f32x4.sub(none, f32x4.div(least, scale));
        const step = f32x4.pmin(f32x4.pmax(rounded(wanted), none), most);
        zero = v128.andnot(step, f32x4.eq(scale, none));
      }
      const to = (<usize>(c * blocks + b)) << 2;
      storeFour(scales + to, column, scale);
      storeFour(zeros + to, column, zero);
    }
  }
}

/** The nearest steps of given grids, the first weight in the low bits; behind a column's last weight lie zeros. */
export function writeSteps(
  values: usize,
  k: i32,
  width: i32,
  block: i32,
  bits: i32,
  scales: usize,
  zeros: usize,
  packed: usize,
): void {
  const blocks = (k + block - 1) / block;
  const most = i32x4.splat((1 << bits) - 1);
  const nothing = i32x4.splat(0);
  const row = (<usize>width) << 2;
  const column = (<usize>blocks) << 2;
  const bytes = (<usize>(block * bits)) >> 3;
  const packedColumn = bytes * <usize>blocks;
  for (let b = 0; b < blocks; b++) {
    const first = b * block;
    const rows = min(block, k - first);
    for (let c = 0; c < width; c += 4) {
      const grid = (<usize>(c * blocks + b)) << 2;
      const scale = loadFour(scales + grid, column);
      const zero = loadFour(zeros + grid, column);
      const inverse = v128.andnot(f32x4.div(one, scale), f32x4.eq(scale, none));
      let at = values + <usize>first * row + ((<usize>c) << 2);
      let to = packed + <usize>c * packedColumn + <usize>b * bytes;
      const end = to + bytes;
      for (let i = 0; to < end; to += 4) {
        let word = nothing;
        for (let place = 0; place < 32 && i < rows; place += bits, i++, at += row) {
          const on = rounded(f32x4.add(f32x4.mul(v128.load(at), inverse), zero));
          const step = i32x4.min_s(i32x4.max_s(i32x4.trunc_sat_f32x4_s(on), nothing), most);
          word = v128.or(word, i32x4.shl(step, place));
        }
        storeFour(to, packedColumn, word);
      }
    }
  }
}
