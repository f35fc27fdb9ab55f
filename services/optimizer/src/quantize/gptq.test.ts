import { gptqBlocks, inverseFactor } from './gptq.js';
import { createHessians } from './hessians.js';
import { matrixLayers } from './matrix-layers.js';
import { someCnn } from '../models-for-tests.js';
import { quantizeBlocks } from './weight-blocks.js';
import type { Blocks, Matrix } from './weight-blocks.js';

const [k, n, rows] = [64, 12, 400];
const form = { bits: 4, block: 32, symmetric: false } as const;
const wave = (i: number) => Math.sin(1 + i * i * 0.37);
const matrix: Matrix = { k, n, values: Float32Array.from({ length: k * n }, (_, i) => wave(i)) };

/** Inputs that go up and down together, as those of layers in networks do. */
const inputs = Array.from({ length: rows }, (_, row) =>
  Float32Array.from({ length: k }, (_, i) => wave(row) * (1 + wave(i)) + 0.3 * wave(7 * row + 13 * i)),
);

/** 2·mean(xxᵀ), the direct way. */
const hessian = Float64Array.from({ length: k * k }, (_, at) => {
  const [i, j] = [Math.floor(at / k), at % k];
  return (2 * inputs.reduce((sum, x) => sum + x[i]! * x[j]!, 0)) / rows;
});

/** What blocks of 4 bits stand for, [k, n]. */
function dense({ packed, scales, zeroPoints }: Blocks): number[] {
  const nibble = (bytes: Uint8Array, i: number) => (bytes[i >> 1]! >> (4 * (i & 1))) & 15;
  const blocks = k / form.block;
  return Array.from({ length: k * n }, (_, at) => {
    const [i, column] = [Math.floor(at / n), at % n];
    const block = column * blocks + Math.floor(i / form.block);
    return (nibble(packed, column * k + i) - nibble(zeroPoints as Uint8Array, block)) * scales[block]!;
  });
}

function outputError(blocks: Blocks): number {
  const stored = dense(blocks);
  let error = 0;
  for (const x of inputs) {
    for (let column = 0; column < n; column++) {
      let off = 0;
      for (let i = 0; i < k; i++) off += x[i]! * (stored[i * n + column]! - matrix.values[i * n + column]!);
      error += off * off;
    }
  }
  return error;
}

describe('GPTQ', () => {
  it('has a quarter of the error that rounding to nearest has in what a layer gives, or less', async () => {
    const nearest = outputError(quantizeBlocks(matrix, form));
    expect(outputError(await gptqBlocks(matrix, form, hessian))).toBeLessThan(nearest / 4);
  });

  it('rounds to nearest where inputs have nothing to do with each other', async () => {
    const apart = Float64Array.from({ length: k * k }, (_, at) => (Math.floor(at / k) === at % k ? 2 : 0));
    expect(await gptqBlocks(matrix, form, apart)).toEqual(quantizeBlocks(matrix, form));
  });

  it('makes weights of inputs that are always 0 zero', async () => {
    const dead = hessian.map((value, at) => (at % k === 5 || Math.floor(at / k) === 5 ? 0 : value));
    const stored = dense(await gptqBlocks(matrix, form, dead));
    expect(stored.slice(5 * n, 6 * n)).toEqual(Array(n).fill(0));
  });

  it('factors the inverse of a damped Hessian', async () => {
    const factor = await inverseFactor(hessian, k);
    const mean = hessian.filter((_, at) => Math.floor(at / k) === at % k).reduce((sum, one) => sum + one / k, 0);
    for (const [i, j] of [
      [0, 0],
      [3, 9],
      [63, 0],
      [40, 41],
    ] as const) {
      // prettier-ignore
      // (UᵀU)·H is the identity
      let entry = 0;
      for (let m = 0; m < k; m++) {
        let inverse = 0;
        for (let l = 0; l < k; l++) inverse += factor[l * k + i]! * factor[l * k + m]!;
        entry += inverse * (hessian[m * k + j]! + (m === j ? 0.01 * mean : 0));
      }
      expect(entry).toBeCloseTo(i === j ? 1 : 0, 8);
    }
  });

  it('damps what cannot be factored until it can', async () => {
    const indefinite = Float64Array.of(1, 1.1, 1.1, 1);
    const factor = await inverseFactor(indefinite, 2);
    expect(factor.every(Number.isFinite)).toBe(true);
    await expect(inverseFactor(Float64Array.of(NaN, 0, 0, 1), 2)).rejects.toThrow('a Hessian of 2 inputs cannot be');
  });
});

describe('Hessians', () => {
  it('are gathered from what layers take, in as many rounds as memory wants', async () => {
    const [layer] = matrixLayers(someCnn());
    const narrow = { ...layer!, matrix };
    const other = { ...narrow, node: { ...narrow.node, inputs: ['other', 'w'] } };
    const asked: (readonly string[])[] = [];
    const hessianOf = createHessians(
      [narrow, other, narrow],
      async (tensors, see) => {
        asked.push(tensors);
        for (const name of tensors) {
          for (const x of inputs) await see(name, name === 'other' ? x.map((value) => 2 * value) : x);
        }
      },
      8 * k * k,
    );
    const first = await hessianOf(narrow);
    first.forEach((value, at) => expect(value).toBeCloseTo(hessian[at]!, 6));
    (await hessianOf(other)).forEach((value, at) => expect(value).toBeCloseTo(4 * hessian[at]!, 5));
    expect(asked).toEqual([[narrow.node.inputs[0]], ['other']]);
  });
});
