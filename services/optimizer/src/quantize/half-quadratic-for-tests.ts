import { nearestGrid, stepOf } from './weight-blocks.js';
import type { GridOf } from './weight-blocks.js';

const { fround } = Math;
const [norm, kappa, mostRounds] = [0.7, 1.01, 20];

/**
 * Half-quadratic quantization (Badri and Shaji 2023, https://mobiusml.github.io/hqq_blog): the zero point that makes the
 * sum of |error|^0.7 small, so that a few large weights do not spoil the rest. The scale is that of round to nearest.
 */
export const halfQuadraticGrid: GridOf = (values, form) => {
  const { bits } = form;
  const { scale, zeroPoint } = nearestGrid(values, { ...form, symmetric: false });
  if (scale === 0 || !Number.isFinite(fround(1 / scale))) return { scale, zeroPoint };
  let best = { scale, zeroPoint };
  let least = Infinity;
  let zero = zeroPoint;
  let beta = 10;
  for (let round = 0; round < mostRounds; round++) {
    let error = 0;
    let next = 0;
    for (const value of values) {
      const step = stepOf(value, { scale, zeroPoint: zero }, bits);
      const off = value - (step - zero) * scale;
      error += Math.abs(off);
      const kept = Math.sign(off) * Math.max(Math.abs(off) - Math.abs(off) ** (norm - 1) / beta, 0);
      next += step - (value - (off === 0 ? 0 : kept)) / scale;
    }
    if (error >= least) break;
    least = error;
    best = { scale, zeroPoint: zero };
    zero = fround(next / values.length);
    beta *= kappa;
  }
  return best;
};
