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

const kappa: f64 = 1.01;
const mostRounds = 20;

function lowHalf(four: v128): v128 {
  return f64x2.promote_low_f32x4(four);
}

function highHalf(four: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<u32>(four, four, 2, 3, 2, 3));
}

/** The masks of two pairs as that of four. */
function maskOfFour(low: v128, high: v128): v128 {
  return v128.shuffle<u32>(low, high, 0, 2, 4, 6);
}

/** What is kept of an error: sign(off) · max(|off| − |off|^(0.7 − 1) / β, 0). */
function shrunk(off: f64, beta: f64): f64 {
  const size = abs(off);
  return copysign(max(size - Math.pow(size, 0.7 - 1) / beta, 0), off);
}

function shrunkPair(off: v128, beta: f64): v128 {
  return f64x2(shrunk(f64x2.extract_lane(off, 0), beta), shrunk(f64x2.extract_lane(off, 1), beta));
}

/**
 * Half-quadratic quantization: moves the zero points of round to nearest, as long as the sum of errors gets less. `quotients`
 * has room for a block of four columns in float64. In float64 throughout, so that the rounds are those of the definition.
 */
export function halfQuadraticZeros(
  values: usize,
  k: i32,
  width: i32,
  block: i32,
  bits: i32,
  scales: usize,
  zeros: usize,
  quotients: usize,
): void {
  const blocks = (k + block - 1) / block;
  const most = f32x4.splat(<f32>((1 << bits) - 1));
  const row = (<usize>width) << 2;
  const column = (<usize>blocks) << 2;
  for (let b = 0; b < blocks; b++) {
    const first = b * block;
    const rows = min(block, k - first);
    const count = f64x2.splat(<f64>rows);
    for (let c = 0; c < width; c += 4) {
      const grid = (<usize>(c * blocks + b)) << 2;
      const from = values + <usize>first * row + ((<usize>c) << 2);
      const scale = loadFour(scales + grid, column);
      const scaleLow = lowHalf(scale);
      const scaleHigh = highHalf(scale);
      const inverse = v128.andnot(f32x4.div(one, scale), f32x4.eq(scale, none));
      for (let i = 0, at = from, to = quotients; i < rows; i++, at += row, to += 32) {
        const four = v128.load(at);
        v128.store(to, f64x2.div(lowHalf(four), scaleLow));
        v128.store(to, f64x2.div(highHalf(four), scaleHigh), 16);
      }
      let zero = loadFour(zeros + grid, column);
      let best = zero;
      // where a scale is so small that its inverse is none, round to nearest is as good
      let open = v128.and(f32x4.ne(scale, none), f32x4.lt(f32x4.abs(inverse), f32x4.splat(Infinity)));
      let leastLow = f64x2.splat(Infinity);
      let leastHigh = leastLow;
      let beta: f64 = 10;
      for (let round = 0; round < mostRounds && v128.any_true(open); round++) {
        const zeroLow = lowHalf(zero);
        const zeroHigh = highHalf(zero);
        // of smaller errors nothing is kept, where |off|^1.3 ≤ 1 / β
        const small = f64x2.splat(Math.pow(beta, -1 / 1.3) * 0.999999);
        let errorLow = f64x2.splat(0);
        let errorHigh = errorLow;
        let nextLow = errorLow;
        let nextHigh = errorLow;
        for (let i = 0, at = from, by = quotients; i < rows; i++, at += row, by += 32) {
          const four = v128.load(at);
          const on = rounded(f32x4.add(f32x4.mul(four, inverse), zero));
          const step = f32x4.min(f32x4.max(on, none), most);
          const stepLow = lowHalf(step);
          const stepHigh = highHalf(step);
          const offLow = f64x2.sub(lowHalf(four), f64x2.mul(f64x2.sub(stepLow, zeroLow), scaleLow));
          const offHigh = f64x2.sub(highHalf(four), f64x2.mul(f64x2.sub(stepHigh, zeroHigh), scaleHigh));
          const sizeLow = f64x2.abs(offLow);
          const sizeHigh = f64x2.abs(offHigh);
          errorLow = f64x2.add(errorLow, sizeLow);
          errorHigh = f64x2.add(errorHigh, sizeHigh);
          let quotientLow = v128.load(by);
          let quotientHigh = v128.load(by, 16);
          if (!v128.all_true<u64>(v128.and(f64x2.lt(sizeLow, small), f64x2.lt(sizeHigh, small)))) {
            quotientLow = f64x2.div(f64x2.sub(lowHalf(four), shrunkPair(offLow, beta)), scaleLow);
            quotientHigh = f64x2.div(f64x2.sub(highHalf(four), shrunkPair(offHigh, beta)), scaleHigh);
          }
          nextLow = f64x2.add(nextLow, f64x2.sub(stepLow, quotientLow));
          nextHigh = f64x2.add(nextHigh, f64x2.sub(stepHigh, quotientHigh));
        }
        open = v128.andnot(open, maskOfFour(f64x2.ge(errorLow, leastLow), f64x2.ge(errorHigh, leastHigh)));
        leastLow = errorLow;
        leastHigh = errorHigh;
        best = v128.bitselect(zero, best, open);
        zero = v128.shuffle<u32>(
          f32x4.demote_f64x2_zero(f64x2.div(nextLow, count)),
          f32x4.demote_f64x2_zero(f64x2.div(nextHigh, count)),
          0,
          1,
          4,
          5,
        );
        beta *= kappa;
      }
      storeFour(zeros + grid, column, best);
    }
  }
}
