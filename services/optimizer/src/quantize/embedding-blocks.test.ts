import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { checkAdmission, floatTensor, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { modelOf, numbers } from '../models-for-tests.js';
import { isQuantized, weightFigures } from '../weighted-layers.js';
import { quantizeEmbeddings, quantizeRows } from './embedding-blocks.js';

interface Vector {
  readonly block: number;
  readonly symmetric: boolean;
  readonly columns: number;
  /** Base 64, little-endian. */
  readonly table: string;
  readonly packed: string;
  readonly scales: string;
  readonly zeroPoints: string | null;
}

// bench/peers/make_row_vectors.py
const vectors = JSON.parse(
  readFileSync(fileURLToPath(new URL('row-vectors.json', import.meta.url)), 'utf8'),
) as Vector[];
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));

const [rows, columns] = [545, 228];

function lookup(): Model {
  const table = floatTensor('table', [rows, columns], numbers(rows * columns));
  const model = modelOf([], [makeNode('Gather', ['table', 'input'], ['y'])], [table], [columns]);
  model.graph.inputs = [{ name: 'input', dataType: 'int64', shape: ['n'] }];
  return model;
}

async function answer(model: Model): Promise<Float32Array> {
  await using session = await openSession(writeOnnx(model), { providers: ['cpu'] });
  const data = BigInt64Array.from([0n, 7n, 544n, 7n]);
  return (await session.run({ input: { dims: [4], data } }))['y']!.data as Float32Array;
}

describe('rows in 4 bits', () => {
  it.each(vectors)(
    'are the bytes of ONNX Runtime: blocks of $block, symmetric $symmetric',
    ({ block, symmetric, columns: width, ...wanted }) => {
      const made = quantizeRows(new Float32Array(bytesOf(wanted.table).buffer), width, { block, symmetric });
      expect(made.scales).toEqual(new Float32Array(bytesOf(wanted.scales).buffer));
      expect(made.zeroPoints).toEqual(wanted.zeroPoints === null ? undefined : bytesOf(wanted.zeroPoints));
      expect(made.packed).toEqual(bytesOf(wanted.packed));
    },
  );

  it.each([true, false])('are looked up within half a step of what they were (symmetric %s)', async (symmetric) => {
    const model = lookup();
    expect(quantizeEmbeddings(model, { block: 32, symmetric })).toBe(1);
    expect(writeOnnx(model).length).toBeLessThan(0.2 * writeOnnx(lookup()).length);
    expect(() => checkAdmission(writeOnnx(model))).not.toThrow();
    const [wanted, got] = [await answer(lookup()), await answer(model)];
    const step = symmetric ? 1 / 8 : 2 / 15;
    const reach = symmetric ? step : step / 2; // the side that has no step 8 is cut off a whole step before its end
    expect(Math.max(...wanted.map((value, i) => Math.abs(value - got[i]!)))).toBeLessThanOrEqual(1.001 * reach);
    expect(weightFigures(model)).toEqual(weightFigures(lookup()));
    expect(isQuantized(model)).toBe(true);
  });

  it('are not made of a mask', () => {
    const model = lookup();
    const { dims } = model.graph.initializers.get('table')!;
    const masked = numbers(rows * columns).map((value, i) => (i % 1000 === 999 ? -Infinity : value));
    model.graph.initializers.set('table', floatTensor('table', dims, masked));
    expect(quantizeEmbeddings(model, { block: 32, symmetric: false })).toBe(0);
  });

  it('are not made of rows of less than a block, nor of a table that is computed', () => {
    expect(quantizeEmbeddings(lookup(), { block: 256, symmetric: true })).toBe(0);
    const computed = lookup();
    computed.graph.nodes.unshift(makeNode('Relu', ['table'], ['positive']));
    computed.graph.nodes[1]!.inputs[0] = 'positive';
    expect(quantizeEmbeddings(computed, { block: 32, symmetric: true })).toBe(0);
  });
});
