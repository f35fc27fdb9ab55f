import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { cloneModel, readOnnx } from '@modelmill/onnx';
import { fidelity, valuesOf } from './quantize-for-tests.js';
import { quantizableTensors, quantizeStatic } from './quantize-static.js';

interface Vectors {
  readonly model: string;
  readonly inputs: string;
  readonly ranges: Readonly<Record<string, readonly [number, number]>>;
  readonly decibels: number;
  readonly initializers: Readonly<Record<string, { readonly type: string; readonly data: string }>>;
}

// bench/peers/make_static_vectors.py
const vectors = JSON.parse(
  readFileSync(fileURLToPath(new URL('static-vectors.json', import.meta.url)), 'utf8'),
) as Vectors;
const bytesOf = (encoded: string) => Uint8Array.from(Buffer.from(encoded, 'base64'));
const model = () => readOnnx(bytesOf(vectors.model));
const example = { dims: [6, 3, 9, 9], data: new Float32Array(bytesOf(vectors.inputs).buffer) };

function quantized() {
  const made = model();
  const ranges = quantizableTensors(made).map((name) => {
    const [min, max] = vectors.ranges[name]!;
    return [name, { min, max }] as const;
  });
  quantizeStatic(made, new Map(ranges));
  return made;
}

describe("what ONNX Runtime's quantizer makes of a network", () => {
  const { initializers } = quantized().graph;
  // the sum and the answer are floats here, where no layer follows them
  const names = [...initializers.keys()].filter((name) => /_(scale|zero_point|quantized)$/.test(name));

  it('has a scale and a zero point for every value that is in eight bits here', () => {
    expect(names.length).toBeGreaterThan(25);
    expect(names.filter((name) => vectors.initializers[name] === undefined)).toEqual([]);
  });

  it.each(names)('is the same to the bit: %s', (name) =>
    expect(Buffer.from(initializers.get(name)!.bytes).toString('base64')).toBe(vectors.initializers[name]?.data),
  );

  it('is as near to the float network, within a tenth of a decibel or nearer', async () =>
    expect(await fidelity(model(), quantized(), example)).toBeGreaterThan(vectors.decibels - 0.1));

  it('has the ranges that calibration finds here', async () => {
    const seen = await valuesOf(cloneModel(model()), example, quantizableTensors(model()));
    for (const [name, values] of seen) {
      const [min, max] = vectors.ranges[name]!;
      // float kernels fused in another way differ in the last bits
      expect(Math.abs(values.reduce((a, b) => Math.min(a, b)) - min)).toBeLessThanOrEqual(1e-6 * Math.abs(min));
      expect(Math.abs(values.reduce((a, b) => Math.max(a, b)) - max)).toBeLessThanOrEqual(1e-6 * Math.abs(max));
    }
  });
});
