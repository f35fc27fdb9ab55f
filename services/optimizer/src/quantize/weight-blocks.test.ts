import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { sourceDigest } from '../gen/weight-blocks-kernel.js';
import { halfQuadraticGrid, nearestGrid, packBlocks, quantizeBlocks, stepOf } from './weight-blocks.js';
import type { BlockForm, Blocks } from './weight-blocks.js';

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

  // more columns than are looked at together, no multiple of four, a last block that is not whole, ties, zeros, NaN
  it.each([
    [2_500, 515, { bits: 4, block: 32, symmetric: false }],
    [2_500, 515, { bits: 4, block: 32, symmetric: true }],
    [2_500, 515, { bits: 8, block: 64, symmetric: false }],
    [2_500, 515, { bits: 2, block: 32, symmetric: true }],
    [33, 3, { bits: 2, block: 16, symmetric: false }],
  ] as const)('are those of one block after the other: [%d, %d], %o', (k, n, form) => {
    const odd = [0, NaN, 1e-42, -0.5, 0.5, 3e38];
    const values = Float32Array.from({ length: k * n }, (_, i) =>
      i % 97 < odd.length && i % 5 === 0 ? odd[i % 97]! : Math.fround(Math.sin(i * i) * (1 + (i % 7))),
    );
    for (let i = 0; i < 32; i++) values[i * n] = 0;
    expect(quantizeBlocks({ values, k, n }, form)).toEqual(oneByOne(values, k, n, form));
  });

  it('are made by a kernel that is compiled from today’s source (sh tools/compile-kernel.sh)', () => {
    const source = readFileSync(fileURLToPath(new URL('../../assembly/weight-blocks.ts', import.meta.url)));
    expect(sourceDigest).toBe(createHash('sha256').update(source).digest('hex'));
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

/** By the definitions of grid and step alone. */
function oneByOne(values: Float32Array, k: number, n: number, form: BlockForm): Blocks {
  const { block } = form;
  const blocks = Math.ceil(k / block);
  const steps = new Uint8Array(k * n);
  const scales = new Float32Array(n * blocks);
  const zeros = new Float32Array(n * blocks);
  for (let at = 0; at < n * blocks; at++) {
    const [column, from] = [Math.floor(at / blocks), (at % blocks) * block];
    const places = Array.from({ length: Math.min(block, k - from) }, (_, i) => (from + i) * n + column);
    const grid = nearestGrid(
      Float32Array.from(places, (place) => values[place]!),
      form,
    );
    scales[at] = grid.scale;
    zeros[at] = grid.zeroPoint;
    for (const place of places) steps[place] = stepOf(values[place]!, grid, form.bits);
  }
  return packBlocks({ k, n }, form, { steps, scales, zeros });
}
