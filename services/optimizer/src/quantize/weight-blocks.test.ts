import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { halfQuadraticGrid, nearestGrid, quantizeBlocks, stepOf } from './weight-blocks.js';

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
