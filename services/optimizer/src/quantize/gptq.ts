import { setImmediate as nextTurn } from 'node:timers/promises';
import { blockCount, nearestGrid, packBlocks, stepOf } from './weight-blocks.js';
import type { BlockForm, Blocks, Grid, Matrix } from './weight-blocks.js';

const damping = 0.01;
const mostTries = 6;
/** Multiply-adds between two turns of the event loop: some milliseconds. */
const slice = 4_000_000;

/** Lets others in after so much work. */
function pauses(): (work: number) => Promise<void> {
  let done = 0;
  return async (work) => {
    done += work;
    if (done < slice) return;
    done = 0;
    await nextTurn();
  };
}

/**
 * GPTQ (Frantar et al. 2023): rounds row by row of k, and has the rows not yet rounded make up for each error, by the
 * Hessian [k, k] of what the layer takes. The grids it rounds on are those that are stored.
 */
export async function gptqBlocks({ values, k, n }: Matrix, form: BlockForm, hessian: Float64Array): Promise<Blocks> {
  const pause = pauses();
  const weights = Float64Array.from(values);
  const curvature = Float64Array.from(hessian);
  for (let i = 0; i < k; i++) {
    if (curvature[i * k + i] !== 0) continue; // an input that is always 0: its weights do not matter
    curvature[i * k + i] = 1;
    weights.fill(0, i * n, (i + 1) * n);
  }
  const factor = await inverseFactor(curvature, k);

  const blocks = blockCount(k, form);
  const steps = new Uint8Array(k * n);
  const scales = new Float32Array(n * blocks);
  const zeros = new Float32Array(n * blocks);
  const grids: Grid[] = [];
  const errors = new Float64Array(n);
  for (let i = 0; i < k; i++) {
    const block = Math.floor(i / form.block);
    for (let column = 0; column < n; column++) {
      if (i % form.block === 0) {
        const length = Math.min(form.block, k - i);
        const part = Float32Array.from({ length }, (_, j) => weights[(i + j) * n + column]!);
        const grid = nearestGrid(part, form);
        grids[column] = grid;
        scales[column * blocks + block] = grid.scale;
        zeros[column * blocks + block] = grid.zeroPoint;
      }
      const grid = grids[column]!;
      const weight = weights[i * n + column]!;
      const step = stepOf(Math.fround(weight), grid, form.bits);
      steps[i * n + column] = step;
      errors[column] = (weight - (step - grid.zeroPoint) * grid.scale) / factor[i * k + i]!;
    }
    for (let j = i + 1; j < k; j++) {
      const by = factor[i * k + j]!;
      if (by === 0) continue;
      for (let column = 0, at = j * n; column < n; column++, at++) weights[at]! -= by * errors[column]!;
    }
    await pause((k - i) * n);
  }
  return packBlocks({ k, n }, form, { steps, scales, zeros });
}

/**
 * The upper triangular U of H⁻¹ = UᵀU: the inverse of R, where H = RRᵀ. What cannot be factored is damped ten times more
 * until it can.
 */
export async function inverseFactor(hessian: Float64Array, size: number): Promise<Float64Array> {
  let mean = 0;
  for (let i = 0; i < size; i++) mean += hessian[i * size + i]! / size;
  let damped = damping * mean;
  for (let tries = 0; tries < mostTries; tries++, damped *= 10) {
    const factor = await reverseCholesky(hessian, size, damped);
    if (factor) return inverseTriangle(factor, size);
  }
  throw new Error(`a Hessian of ${size} inputs cannot be factored, even with ${damped} added to its diagonal`);
}

async function reverseCholesky(matrix: Float64Array, size: number, added: number): Promise<Float64Array | undefined> {
  const pause = pauses();
  const factor = new Float64Array(size * size);
  for (let j = size - 1; j >= 0; j--) {
    for (let i = j; i >= 0; i--) {
      let rest = matrix[i * size + j]! + (i === j ? added : 0);
      for (let m = j + 1; m < size; m++) rest -= factor[i * size + m]! * factor[j * size + m]!;
      if (i === j && !(rest > 0 && rest < Infinity)) return undefined;
      factor[i * size + j] = i === j ? Math.sqrt(rest) : rest / factor[j * size + j]!;
    }
    await pause((size - j) * j);
  }
  return factor;
}

async function inverseTriangle(factor: Float64Array, size: number): Promise<Float64Array> {
  const pause = pauses();
  const inverse = new Float64Array(size * size);
  for (let i = size - 1; i >= 0; i--) {
    const pivot = factor[i * size + i]!;
    for (let m = i + 1; m < size; m++) {
      const by = factor[i * size + m]! / pivot;
      for (let j = m; j < size; j++) inverse[i * size + j]! -= by * inverse[m * size + j]!;
    }
    inverse[i * size + i] = 1 / pivot;
    await pause(((size - i) * (size - i)) / 2);
  }
  return inverse;
}
