import { attribute, cloneModel, elementCount, floatTensor, floatsOf, intsOf, makeNode } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { weightFigures } from '../weighted-layers.js';
import { modelOf, numbers } from '../models-for-tests.js';
import { bakeIntegers } from './bake-integers.js';
import { fakeQuantize } from './fake-quantize.js';
import type { RoundedWeights } from './fake-quantize.js';
import { exampleOf, fidelity, operatorsRun, quantizedOn, valuesOf } from './quantize-for-tests.js';
import { quantizeStatic } from './quantize-static.js';

const tensor = (name: string, dims: number[]) =>
  floatTensor(
    name,
    dims,
    numbers(elementCount(dims)).map((value, i) => (value * (1 + (i % 7))) / 12),
  );

/** Two convolutions around a sum, and a matrix product whose bias an Add adds. */
const network = modelOf(
  [4, 6, 6],
  [
    makeNode('Conv', ['input', 'w1', 'b'], ['c1'], { pads: attribute([1, 1, 1, 1]) }),
    makeNode('Relu', ['c1'], ['r1']),
    makeNode('Conv', ['r1', 'w2'], ['c2'], { pads: attribute([1, 1, 1, 1]) }),
    makeNode('Add', ['c2', 'r1'], ['sum']),
    makeNode('Flatten', ['sum'], ['flat'], { axis: attribute(1) }),
    makeNode('MatMul', ['flat', 'dense'], ['product']),
    makeNode('Add', ['product', 'dense_bias'], ['hidden']),
    makeNode('Gemm', ['hidden', 'square', 'other_bias'], ['again'], { transB: attribute(1) }),
    makeNode('Gemm', ['again', 'square'], ['y'], { transB: attribute(1) }),
  ],
  [
    tensor('w1', [4, 4, 3, 3]),
    tensor('w2', [4, 4, 3, 3]),
    tensor('b', [4]),
    tensor('dense', [144, 5]),
    tensor('dense_bias', [5]),
    tensor('other_bias', [5]),
    tensor('square', [5, 5]),
  ],
  [5],
);
const example = exampleOf([8, 4, 6, 6]);

const answers = async (model: Model) => Array.from((await valuesOf(model, example)).get('y')!);
const furthest = (a: readonly number[], b: readonly number[]) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

/** Biases become what 32 bits make of them: half a step of a sum, which may turn the rounding of what is added up. */
function roundBiases({ graph }: Model, baked: Model, rounded: readonly RoundedWeights[]): void {
  for (const { name } of rounded.flatMap(({ biases }) => biases)) {
    const of = name.replace('_float', '_quantized');
    const integers = intsOf(baked.graph.initializers.get(of)!);
    const scales = floatsOf(baked.graph.initializers.get(`${of}_scale`)!);
    graph.initializers.set(
      name,
      floatTensor(
        name,
        [integers.length],
        integers.map((value, i) => value * scales[i]!),
      ),
    );
  }
}

describe('rounding in floats', () => {
  it.each([8, 4, 3, 2])('with %i bits answers as the integers that are made of it do', async (bits) => {
    const { ranges } = await quantizedOn(example, network);
    const fake = cloneModel(network);
    const rounded = fakeQuantize(fake, ranges, { bits, reduced: false });
    expect(rounded.map(({ biases }) => biases.length)).toEqual([1, 0, 1, 1]); // two products share their weights
    const baked = cloneModel(fake);
    bakeIntegers(baked, rounded);
    roundBiases(fake, baked, rounded);
    const [floats, integers] = [await answers(fake), await answers(baked)];
    const size = Math.max(...floats.map(Math.abs));
    expect(size).toBeGreaterThan(0.1);
    expect(furthest(floats, integers) / size).toBeLessThan(1e-5);
    const made = await operatorsRun(baked);
    expect(made).toMatchObject({ QLinearConv: 2 });
    for (const operator of ['Conv', 'MatMul', 'Gemm', 'Div', 'Exp', 'Cast'])
      expect(made).not.toHaveProperty([operator]);
    expect(weightFigures(baked).parameters).toBe(weightFigures(network).parameters);
  });

  it('begins as static quantization does, at eight bits, and keeps the sum of squares least below', async () => {
    const { ranges, model: quantized } = await quantizedOn(example, network);
    const [eight, reduced, four, two] = [8, 7, 4, 2].map((bits) => {
      const model = cloneModel(network);
      const rounded = fakeQuantize(model, ranges, { bits: bits === 7 ? 8 : bits, reduced: bits === 7 });
      bakeIntegers(model, rounded);
      return model;
    }) as [Model, Model, Model, Model];
    expect(furthest(await answers(eight), await answers(quantized))).toBeLessThan(1e-5);
    const inSeven = cloneModel(network);
    quantizeStatic(inSeven, ranges, { reduced: true });
    expect(furthest(await answers(reduced), await answers(inSeven))).toBeLessThan(1e-5);
    const [most, some, least] = await Promise.all([eight, four, two].map((model) => fidelity(network, model, example)));
    expect(most!).toBeGreaterThan(30);
    expect(some!).toBeGreaterThan(8);
    expect(least!).toBeLessThan(some!);
  });

  it('stores scales that were learned, and weights that were trained', async () => {
    const { ranges } = await quantizedOn(example, network);
    const fake = cloneModel(network);
    const rounded = fakeQuantize(fake, ranges, { bits: 4, reduced: false });
    for (const { name, logScale } of rounded) {
      for (const [of, by] of [
        [name, 1.3],
        [logScale, 1.02],
      ] as const) {
        const { dims, ...old } = fake.graph.initializers.get(of)!;
        fake.graph.initializers.set(
          of,
          floatTensor(
            of,
            dims,
            floatsOf({ dims, ...old }).map((value) => by * value),
          ),
        );
      }
    }
    const baked = cloneModel(fake);
    bakeIntegers(baked, rounded);
    roundBiases(fake, baked, rounded);
    const [floats, integers] = [await answers(fake), await answers(baked)];
    expect(furthest(floats, integers) / Math.max(...floats.map(Math.abs))).toBeLessThan(1e-5);
    expect(furthest(floats, await answers(network))).toBeGreaterThan(0.1);
  });
});
