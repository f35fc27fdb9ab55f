import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { sourceDigest } from '../gen/weight-blocks-kernel.js';
import { halfQuadraticGrid } from './half-quadratic-for-tests.js';
import { nearestGrid, packBlocks, quantizeBlocks, stepOf } from './weight-blocks.js';
import type { BlockForm, Blocks, GridOf } from './weight-blocks.js';

interface Vector {
  readonly k: number;
  readonly n: number;
  readonly bits: 2 | 4 | 8;
  readonly block: number;
  readonly symmetric: boolean;
  /** Base 64, little-endian. */
  readonly weights: string;
  readonly packed: string;
  readonly scales: string;
  readonly zeroPoints: string | null;
}

// bench/peers/make_nbits_vectors.py
const vectors = JSON.parse(
  readFileSync(fileURLToPath(new URL('nbits-vectors.json', import.meta.url)), 'utf8'),
) as Vector[];

const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));

describe('weights in blocks', () => {
  it.each(vectors)(
    'are the bytes of ONNX Runtime: [$k, $n] in $bits bits, blocks of $block, symmetric $symmetric',
    ({ k, n, bits, block, symmetric, ...wanted }) => {
      const values = new Float32Array(bytesOf(wanted.weights).buffer);
      const made = quantizeBlocks({ values, k, n }, { bits, block, symmetric });
      expect(made.scales).toEqual(new Float32Array(bytesOf(wanted.scales).buffer));
      expect(made.zeroPoints).toEqual(wanted.zeroPoints === null ? undefined : bytesOf(wanted.zeroPoints));
      expect(made.packed).toEqual(bytesOf(wanted.packed));
    },
  );

  // more columns than are looked at together, no multiple of four, a last block that is not whole
  it.each([
    [700, 397, { bits: 4, block: 32, symmetric: false }, nearestGrid],
    [700, 397, { bits: 4, block: 32, symmetric: true }, nearestGrid],
    [700, 397, { bits: 8, block: 64, symmetric: false }, nearestGrid],
    [700, 397, { bits: 2, block: 32, symmetric: true }, nearestGrid],
    [150, 22, { bits: 4, block: 64, symmetric: false }, halfQuadraticGrid],
    [33, 3, { bits: 2, block: 16, symmetric: false }, nearestGrid],
    [33, 3, { bits: 4, block: 32, symmetric: false }, halfQuadraticGrid],
  ] as const)('are those of one block after the other: [%d, %d], %o', (k, n, form, gridOf) => {
    const values = oddValues(k, n);
    const made = quantizeBlocks({ values, k, n }, form, gridOf === nearestGrid ? 'nearest' : 'hqq');
    expect(made).toEqual(oneByOne(values, k, n, form, gridOf));
  });

  it('have the zero point of round to nearest where a scale has no inverse (HQQ)', () => {
    const values = Float32Array.from({ length: 64 }, (_, i) => (i - 30) * 1e-40);
    const made = quantizeBlocks({ values, k: 32, n: 2 }, { bits: 4, block: 32, symmetric: false }, 'hqq');
    expect(made.packed).toHaveLength(32);
    expect([...made.zeroPoints!].every(Number.isFinite)).toBe(true);
    expect(made).toEqual(oneByOne(values, 32, 2, { bits: 4, block: 32, symmetric: false }, halfQuadraticGrid));
  });

  it('are made by a kernel that is compiled from today’s source (sh tools/compile-kernel.sh)', () => {
    const digest = createHash('sha256');
    for (const file of ['../../assembly/weight-blocks.ts', '../../../../tools/compile-kernel.sh']) {
      digest.update(readFileSync(fileURLToPath(new URL(file, import.meta.url))));
    }
    expect(sourceDigest).toBe(digest.digest('hex'));
  });

  it('spoil less of a block with a few large weights where the zero point is searched for (HQQ)', () => {
    const form = { bits: 4, block: 64, symmetric: false } as const;
    const values = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i * i) + (i % 16 === 5 ? 4 : 0));
    const error = (gridOf: typeof nearestGrid) => {
      const grid = gridOf(values, form);
      return values.reduce((sum, value) => {
        const off = value - (stepOf(value, grid, 4) - grid.zeroPoint) * grid.scale;
        return sum + Math.abs(off) ** 0.7;
      }, 0);
    };
    expect(error(halfQuadraticGrid)).toBeLessThan(0.97 * error(nearestGrid));
  });
});

/** Zeros of either sign, NaN, the smallest and the largest, blocks whose ends are as far from zero, and exact halves of steps. */
function oddValues(k: number, n: number): Float32Array {
  const odd = [0, NaN, 1e-42, -0.5, 0.5, 3e38];
  const values = Float32Array.from({ length: k * n }, (_, i) =>
    i % 97 < odd.length && i % 5 === 0 ? odd[i % 97]! : Math.sin(i * i) * (1 + (i % 7)),
  );
  const first = (column: number, rows: number, value: (row: number) => number) => {
    for (let row = 0; row < rows && column < n; row++) values[row * n + column] = value(row);
  };
  first(0, 32, () => -0);
  first(1, 32, (row) => [-9, 9][row] ?? row / 8);
  first(2, 32, (row) => [9, -9][row] ?? row / 8);
  first(3, 32, (row) => Math.min(row / 2, 15));
  first(4, 32, () => 0);
  return values;
}

/** By the definitions of grid and step alone. */
function oneByOne(values: Float32Array, k: number, n: number, form: BlockForm, gridOf: GridOf): Blocks {
  const { block } = form;
  const blocks = Math.ceil(k / block);
  const steps = new Uint8Array(k * n);
  const scales = new Float32Array(n * blocks);
  const zeros = new Float32Array(n * blocks);
  for (let at = 0; at < n * blocks; at++) {
    const [column, from] = [Math.floor(at / blocks), (at % blocks) * block];
    const places = Array.from({ length: Math.min(block, k - from) }, (_, i) => (from + i) * n + column);
    const grid = gridOf(
      Float32Array.from(places, (place) => values[place]!),
      form,
    );
    scales[at] = grid.scale;
    zeros[at] = grid.zeroPoint;
    for (const place of places) steps[place] = stepOf(values[place]!, grid, form.bits);
  }
  return packBlocks({ k, n }, form, { steps, scales, zeros });
}
