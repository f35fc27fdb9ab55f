/*
 * What the threads of a data parallel step do element by element: each is one pass over memory, where a graph of operators takes
 * ten. AssemblyScript (https://www.assemblyscript.org): `sh tools/compile-kernel.sh` makes src/gen/update-kernel.ts of it.
 * Counts are multiples of four, and places of 16 bytes.
 */

/**
 * The least float32 that is not denormal: what is less is made 0, for a processor takes a hundred times as long for it. ONNX
 * Runtime has its own threads do so, but not those that call a kernel.
 */
const least: f32 = 1.17549435e-38;

function flushed(x: v128): v128 {
  return v128.andnot(x, f32x4.lt(f32x4.abs(x), f32x4.splat(least)));
}

/**
 * Adam (Kingma and Ba 2015) with decoupled weight decay, as `adam` of packages/autodiff/src/updates.ts: means are kept undivided
 * by 1 − β. Rates are places of scalars; `scale` and `averages` may be 0, for none.
 */
export function adam(
  count: i32,
  weights: usize,
  m: usize,
  v: usize,
  gradient: usize,
  averages: usize,
  learningRate: usize,
  c1: usize,
  c2: usize,
  scale: usize,
  rateScale: f64,
  beta1: f64,
  beta2: f64,
  epsilon: f64,
  decay: f64,
  ema: f64,
): void {
  const rate = load<f32>(learningRate) * <f32>rateScale;
  const whole = sqrt<f32>(load<f32>(c2) * <f32>(1 - beta2));
  const taken = f32x4.splat((rate * (load<f32>(c1) * <f32>(1 - beta1))) / whole);
  const offset = f32x4.splat(<f32>epsilon / whole);
  const kept = f32x4.splat(1 - rate * <f32>decay);
  const keptM = f32x4.splat(<f32>beta1);
  const keptV = f32x4.splat(<f32>beta2);
  const keptAverage = f32x4.splat(<f32>ema);
  const toAverage = f32x4.splat(<f32>(1 - ema));
  const clipped = f32x4.splat(scale === 0 ? 1 : load<f32>(scale));
  const end = (<usize>count) << 2;
  for (let at: usize = 0; at < end; at += 16) {
    const d = f32x4.mul(v128.load(gradient + at), clipped);
    const nextM = flushed(f32x4.add(f32x4.mul(v128.load(m + at), keptM), d));
    const nextV = flushed(f32x4.add(f32x4.mul(v128.load(v + at), keptV), f32x4.mul(d, d)));
    v128.store(m + at, nextM);
    v128.store(v + at, nextV);
    const step = f32x4.mul(f32x4.div(nextM, f32x4.add(f32x4.sqrt(nextV), offset)), taken);
    const weight = f32x4.sub(f32x4.mul(v128.load(weights + at), kept), step);
    v128.store(weights + at, weight);
    if (averages !== 0) {
      const average = f32x4.mul(v128.load(averages + at), keptAverage);
      v128.store(averages + at, f32x4.add(average, f32x4.mul(weight, toAverage)));
    }
  }
}

/** Adds `other`, if it is not 0, to what lies at `to`, within ±`limit` if that is not 0; tells the sum of squares in float64. */
export function addUp(count: i32, to: usize, other: usize, limit: f64, squares: usize): void {
  const highest = f32x4.splat(<f32>limit);
  const lowest = f32x4.neg(highest);
  const end = (<usize>count) << 2;
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  for (let at: usize = 0; at < end; at += 16) {
    let sum = v128.load(to + at);
    if (other !== 0) {
      sum = f32x4.add(sum, v128.load(other + at));
      if (limit !== 0) sum = f32x4.max(lowest, f32x4.min(highest, sum));
      v128.store(to + at, sum);
    }
    const front = f64x2.promote_low_f32x4(sum);
    const back = f64x2.promote_low_f32x4(v128.shuffle<i64>(sum, sum, 1, 1));
    low = f64x2.add(low, f64x2.mul(front, front));
    high = f64x2.add(high, f64x2.mul(back, back));
  }
  const both = f64x2.add(low, high);
  store<f32>(squares, <f32>(f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1)));
}

/** Where the row at an int64 position of a table of `length` rows begins, `bytes` each; 0 where it is not among [from, to). */
function rowAt(position: usize, table: usize, bytes: usize, length: i32, from: i32, to: i32): usize {
  const told = load<i32>(position); // Gather refused what lies beyond the table, so the lower half is all of it
  const row = told < 0 ? told + length : told; // ONNX counts from the end, too
  return row < from || row >= to ? 0 : table + <usize>row * bytes;
}

/** Adds `count` rows of `width` elements to those of a table at `positions` that are among [from, to). */
export function addRows(
  count: i32,
  positions: usize,
  rows: usize,
  table: usize,
  width: i32,
  length: i32,
  from: i32,
  to: i32,
): void {
  const bytes = (<usize>width) << 2;
  const whole = bytes & ~15;
  for (let i: usize = 0; i < <usize>count; i++) {
    const into = rowAt(positions + (i << 3), table, bytes, length, from, to);
    if (into === 0) continue;
    const added = rows + i * bytes;
    let at: usize = 0;
    for (; at < whole; at += 16) v128.store(into + at, f32x4.add(v128.load(into + at), v128.load(added + at)));
    for (; at < bytes; at += 4) store<f32>(into + at, load<f32>(into + at) + load<f32>(added + at));
  }
}

/** Makes the rows of a table at `positions` zero that are among [from, to). */
export function clearRows(
  count: i32,
  positions: usize,
  table: usize,
  width: i32,
  length: i32,
  from: i32,
  to: i32,
): void {
  const bytes = (<usize>width) << 2;
  for (let i: usize = 0; i < <usize>count; i++) {
    const into = rowAt(positions + (i << 3), table, bytes, length, from, to);
    if (into !== 0) memory.fill(into, 0, bytes);
  }
}
