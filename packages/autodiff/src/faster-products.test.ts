import { floatsOf } from '@modelmill/onnx';
import type { Attribute } from '@modelmill/onnx';
import { buildLayers } from './build-layers.js';
import { emit } from './emit.js';
import { fasterForms } from './faster-forms.js';
import * as op from './ops.js';
import { numbers, runnable } from './run-for-tests.js';
import { trainingStep } from './training-step.js';
import { input, size } from './value.js';
import type { Value } from './value.js';

const numberOf = (attribute: Attribute | undefined) => (attribute?.kind === 'int' ? attribute.value : undefined);

interface Case {
  readonly of: (a: Value, b: Value) => Value;
  readonly shapes: readonly [readonly number[], readonly number[]];
  /** What is written: operators, of Transpose with the axes, of products which operand they turn around. */
  readonly wants: readonly string[];
}

const cases: Readonly<Record<string, Case>> = {
  'keys whose axes are exchanged twice are turned around by the product with the queries': {
    of: (q, k) => op.matMul(op.transpose(q, [0, 2, 1, 3]), op.transpose(k, [0, 2, 3, 1])),
    shapes: [
      [2, 5, 3, 4],
      [2, 6, 3, 4],
    ],
    wants: ['Transpose 0,2,1,3', 'Transpose 0,2,1,3', 'FusedMatMul b'],
  },
  'what was transposed twice is not transposed': {
    of: (a, b) => op.matMul(op.transposeLast(op.transposeLast(a)), op.transposeLast(b)),
    shapes: [
      [2, 5, 3],
      [2, 4, 3],
    ],
    wants: ['FusedMatMul b'],
  },
  'operands of different ranks are turned around, too': {
    of: (a, b) => op.matMul(op.transposeLast(a), op.transposeLast(b)),
    shapes: [
      [2, 3, 5, 4],
      [3, 6, 5],
    ],
    wants: ['FusedMatMul a b'],
  },
  'a product that is only taken turned around is made so': {
    of: (a, b) => op.transpose(op.matMul(op.transposeLast(a), b), [0, 3, 1, 2]),
    shapes: [
      [2, 3, 5, 4],
      [2, 3, 5, 6],
    ],
    wants: ['FusedMatMul a', 'Transpose 0,2,1,3'],
  },
  'a product that is also taken as it is stays one product': {
    of: (a, b) => {
      const product = op.matMul(a, b);
      return op.add(product, op.transposeLast(product));
    },
    shapes: [
      [2, 4, 5],
      [2, 5, 4],
    ],
    wants: ['MatMul', 'Transpose 0,2,1', 'Add'],
  },
  'a product whose operands lie right stays as it is': {
    of: op.matMul,
    shapes: [
      [2, 4, 5],
      [2, 5, 3],
    ],
    wants: ['MatMul'],
  },
};

it.each(Object.entries(cases))('%s, with the same results', async (_, { of, shapes, wants }) => {
  const operands = shapes.map((shape, i) => input('ab'.charAt(i), shape)) as [Value, Value];
  const outputs = new Map([['y', of(...operands)]]);
  const plain = emit({ name: 'plain', inputs: operands, outputs });
  const faster = emit({ name: 'faster', inputs: operands, outputs, formOf: fasterForms([...outputs.values()]) });
  const told = faster.graph.nodes.map(({ opType, attributes }) => {
    const perm = attributes.get('perm');
    const turned = (name: string) => numberOf(attributes.get(name)) === 1;
    const flags = [...(turned('transA') ? ['a'] : []), ...(turned('transB') ? ['b'] : [])];
    return [opType, ...(perm?.kind === 'ints' ? [perm.value.join()] : []), ...flags].join(' ');
  });
  expect(told).toEqual(wants);
  const feeds = Object.fromEntries(
    shapes.map((dims, i) => ['ab'.charAt(i), { dims, data: numbers(size(dims), { seed: i + 1 }) }]),
  );
  const [wanted, got] = await Promise.all(
    [plain, faster].map(async (model) => (await (await runnable(model))(feeds))['y']!),
  );
  wanted!.forEach((value, i) => expect(got![i]).toBeCloseTo(value, 5));
});

it.each([
  ['with biases', true],
  ['without biases', false],
])(
  'a step of a transformer %s for the CPU gives what plain operators give one by one, with fewer Transposes',
  async (_, bias) => {
    const block = {
      kind: 'transformer_block',
      heads: 2,
      causal: true,
      mlpRatio: 2,
      activation: 'gelu',
      dropout: 0,
      bias,
    } as const;
    const { forward } = buildLayers(
      [{ kind: 'embedding', vocabulary: 7, width: 8 }, block, block, { kind: 'dense', units: 7 }],
      {
        name: 'text',
        featureShape: [5],
        tokens: { vocabulary: 7 },
        random: (stream, count) => numbers(count, { low: 0, seed: Number(stream) + 1 }),
      },
    );
    const recipe = {
      batchSize: 3,
      exampleShape: [5],
      loss: { kind: 'cross_entropy' },
      optimizer: { kind: 'sgd', momentum: 0, nesterov: false },
    } as const;
    const steps = [trainingStep(forward, recipe), trainingStep(forward, { ...recipe, columns: true })];
    const results = await Promise.all(
      steps.map(async ({ model, state, inputs }, way) =>
        (await runnable(model, { graphOptimizationLevel: way === 0 ? 'disabled' : 'extended' }))({
          [inputs.features]: { dims: [3, 5], data: BigInt64Array.from({ length: 15 }, (_, i) => BigInt((i * 3) % 7)) },
          [inputs.targets]: { dims: [3, 5], data: BigInt64Array.from({ length: 15 }, (_, i) => BigInt(i % 7)) },
          [inputs.learningRate]: { dims: [], data: Float32Array.of(0.1) },
          ...Object.fromEntries(state.map(({ input: name, dims, initial }) => [name, { dims, data: initial }])),
        }),
      ),
    );
    for (const { output, input: name } of steps[0]!.state) {
      const before = floatsOf(forward.graph.initializers.get(name)!);
      results[0]![output]!.forEach((value, i) => expect(results[1]![output]![i]).toBeCloseTo(value, 5));
      expect([...results[1]![output]!]).not.toEqual([...before]);
    }
    const [plain, faster] = steps.map(
      ({ model }) => model.graph.nodes.filter(({ opType }) => opType === 'Transpose').length,
    );
    // of each block: two of keys, one of values, one of the gradient of keys
    expect(faster).toBe(plain! - 8);
  },
);
