import { attribute, cloneModel, floatTensor, makeNode } from '@modelmill/onnx';
import { createChannelMeans } from './bias-correction.js';
import { modelOf, numbers } from '../models-for-tests.js';
import { valuesOf } from './quantize-for-tests.js';
import type { Example } from './quantize-for-tests.js';
import { createRanges } from './quantization-ranges.js';
import { quantizableLayers, quantizableTensors, quantizeStatic } from './quantize-static.js';

/** A convolution in two groups, a Gemm and a MatMul with a bias, of inputs that are far from 0 on the average. */
const network = modelOf(
  [4, 6, 6],
  [
    makeNode('Conv', ['input', 'w', 'b'], ['c'], { group: attribute(2) }),
    makeNode('Relu', ['c'], ['r']),
    makeNode('GlobalAveragePool', ['r'], ['p']),
    makeNode('Flatten', ['p'], ['f']),
    makeNode('Gemm', ['f', 'm1', 'b1'], ['g'], { transB: attribute(1) }),
    makeNode('MatMul', ['g', 'm2'], ['h']),
    makeNode('Add', ['h', 'b2'], ['y']),
  ],
  [
    floatTensor('w', [6, 2, 3, 3], numbers(108)),
    floatTensor('b', [6], numbers(6)),
    floatTensor('m1', [8, 6], numbers(48)),
    floatTensor('b1', [8], numbers(8)),
    floatTensor('m2', [8, 3], numbers(24)),
    floatTensor('b2', [3], numbers(3)),
  ],
  [3],
);
const example: Example = {
  dims: [32, 4, 6, 6],
  data: Float32Array.from({ length: 32 * 144 }, (_, i) => 2 + Math.sin(i * i)),
};

async function meanError(correct: boolean): Promise<number[]> {
  const model = cloneModel(network);
  const layers = quantizableLayers(model);
  const ranges = createRanges('minmax');
  const means = createChannelMeans(layers);
  const wanted = quantizableTensors(model);
  for (const [name, values] of await valuesOf(model, example, wanted)) ranges.add(name, values, 32);
  const shapes: Record<string, number[]> = { input: [32, 4, 6, 6], f: [32, 6], g: [32, 8] };
  for (const [name, values] of await valuesOf(model, example, Object.keys(shapes))) {
    means.add(name, values, shapes[name]!);
  }
  // seven bits: more is lost
  quantizeStatic(model, await ranges.finish(), { reduced: true, ...(correct ? { means: means.finish() } : {}) });
  const [exact, got] = [await valuesOf(network, example), await valuesOf(model, example)];
  const off = got.get('y')!.map((value, i) => value - exact.get('y')![i]!);
  return [0, 1, 2].map((column) => Math.abs(off.filter((_, i) => i % 3 === column).reduce((a, b) => a + b, 0)) / 32);
}

const largest = (values: readonly number[]) => Math.max(...values);

describe('bias correction', () => {
  it('takes away most of what quantization moves answers by on the average', async () =>
    expect(largest(await meanError(true))).toBeLessThan(0.5 * largest(await meanError(false))));

  it('knows the mean of every channel, however values are split', () => {
    const layers = quantizableLayers(network);
    const means = createChannelMeans(layers);
    const images = Float32Array.from({ length: 3 * 4 * 36 }, (_, i) => Math.floor(i / 36) % 4);
    means.add('input', images.subarray(0, 144), [1, 4, 6, 6]);
    means.add('input', images.subarray(144), [2, 4, 6, 6]);
    means.add('f', Float32Array.of(1, 2, 3, 4, 5, 6, 3, 4, 5, 6, 7, 8), [2, 6]);
    const found = means.finish();
    expect([...found.get('input')!]).toEqual([0, 1, 2, 3]);
    expect([...found.get('f')!]).toEqual([2, 3, 4, 5, 6, 7]);
  });
});
