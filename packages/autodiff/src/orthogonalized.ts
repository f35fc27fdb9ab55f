import type { Layout } from './hidden-matrices.js';
import { add, div, matMul, mul, reshape, sqrt, sumSquare, times, transposeLast } from './ops.js';
import { scalar, size } from './value.js';
import type { Value } from './value.js';

/** Coefficients of the quintic iteration, chosen for a steep start (Jordan et al. 2024). */
const [a, b, c] = [3.4445, -4.775, 2.0315];
const steps = 5;

/**
 * The nearest semi-orthogonal matrix, roughly: all singular values between 0.7 and 1.2, by five steps of a Newton-Schulz
 * iteration (Jordan et al. 2024); times √max(1, outputs / inputs), which keeps the sizes of
 * what a layer gives alike. A kernel [first, …] is taken as [first, rest].
 */
export function orthogonalized(u: Value, layout: Layout): Value {
  const [rows = 1] = u.shape;
  const columns = size(u.shape) / rows;
  const flat = reshape(u, [rows, columns]);
  const ratio = layout === 'outputs first' ? rows / columns : columns / rows;
  const tall = rows > columns;
  let x = div(flat, add(sqrt(sumSquare(flat)), scalar(1e-7)));
  if (tall) x = transposeLast(x);
  for (let step = 0; step < steps; step++) {
    const square = matMul(x, transposeLast(x));
    const polynomial = add(times(square, b), times(matMul(square, square), c));
    x = add(times(x, a), matMul(polynomial, x));
  }
  if (tall) x = transposeLast(x);
  return reshape(mul(x, scalar(Math.sqrt(Math.max(1, ratio)))), u.shape);
}
