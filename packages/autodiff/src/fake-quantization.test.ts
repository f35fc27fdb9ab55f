import { attribute, emptyGraph, floatTensor, intTensor, makeNode } from '@modelmill/onnx';
import type { Model, Node, Tensor } from '@modelmill/onnx';
import { emit } from './emit.js';
import { TrainingFormError } from './errors.js';
import { gradients } from './gradients.js';
import * as op from './ops.js';
import { readGraph } from './read-graph.js';
import { numbers, runnable } from './run-for-tests.js';
import { constant } from './value.js';

const modelOf = (nodes: Node[], tensors: readonly Tensor[]): Model => ({
  irVersion: 8,
  opsets: new Map([['', 18]]),
  producer: 'test',
  metadata: new Map(),
  functions: [],
  graph: {
    ...emptyGraph('fake'),
    nodes,
    initializers: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    inputs: [{ name: 'x', dataType: 'float', shape: ['n', inner] }],
    outputs: [{ name: 'y', dataType: 'float', shape: ['n', columns] }],
  },
});

const [rows, inner, columns] = [5, 6, 4];
const scales = [0.002, 0.004, 0.02, 0.01]; // the first two columns are clipped at ±0.25 and ±0.5
const answer = { scale: 0.01, zeroPoint: 90 };

const pair = (x: string, y: string, scale: string, zero: string, axis = 1) => [
  makeNode('QuantizeLinear', [x, scale, zero], [`${y}_integers`], { axis: attribute(axis) }, `round ${x}`),
  makeNode('DequantizeLinear', [`${y}_integers`, scale, zero], [y], { axis: attribute(axis) }, `read ${y}`),
];
const weights = floatTensor('w', [inner, columns], numbers(inner * columns, { seed: 3 }));
const constants = [
  floatTensor('w_scale', [columns], scales),
  intTensor('w_zero', 'int8', [columns], [0, 0, 0, 3]),
  floatTensor('y_scale', [], [answer.scale]),
  intTensor('y_zero', 'uint8', [], [answer.zeroPoint]),
];
const model = modelOf(
  [
    ...pair('w', 'rounded', 'w_scale', 'w_zero'),
    makeNode('MatMul', ['x', 'rounded'], ['product']),
    ...pair('product', 'y', 'y_scale', 'y_zero'),
  ],
  [weights, ...constants],
);

/** torch.fake_quantize and its mask, in doubles: what rounds beyond what the integers hold is clipped, and gets no gradient. */
function fake(x: number, scale: number, zero: number, low: number, high: number) {
  const rounded = Math.round(x / scale) + zero; // no ties among these numbers
  const held = rounded >= low && rounded <= high;
  return { value: (Math.min(Math.max(rounded, low), high) - zero) * scale, held: Number(held) };
}

describe('rounding to eight bits and back', () => {
  it('lets gradients straight through what was not clipped, per tensor and per channel', async () => {
    const { features, output, weights: trained } = readGraph(model, rows);
    expect([...trained.keys()]).toEqual(['w']);
    const g = numbers(rows * columns, { seed: 9 });
    const loss = op.sum(op.mul(output, constant(g, [rows, columns])));
    const found = gradients(loss, [trained.get('w')!]).get(trained.get('w')!)!;
    const run = await runnable(
      emit({
        name: 'gradients',
        inputs: [features, trained.get('w')!],
        outputs: new Map([
          ['dw', found],
          ['y', output],
        ]),
      }),
    );
    const x = numbers(rows * inner, { seed: 5, low: -2, high: 2 });
    const w = numbers(inner * columns, { seed: 3 });
    const { dw, y } = await run({ x: { dims: [rows, inner], data: x }, w: { dims: [inner, columns], data: w } });

    const roundedW = Array.from(w, (value, i) =>
      fake(value, scales[i % columns]!, i % columns === 3 ? 3 : 0, -128, 127),
    );
    const products = Array.from({ length: rows * columns }, (_, i) => {
      const [row, column] = [Math.floor(i / columns), i % columns];
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += x[row * inner + k]! * roundedW[k * columns + column]!.value;
      return fake(sum, answer.scale, answer.zeroPoint, 0, 255);
    });
    const wanted = roundedW.map(({ held }, i) => {
      const [k, column] = [Math.floor(i / columns), i % columns];
      let sum = 0;
      for (let row = 0; row < rows; row++) {
        const at = row * columns + column;
        sum += x[row * inner + k]! * g[at]! * products[at]!.held;
      }
      return sum * held;
    });
    products.forEach(({ value }, i) => expect(y![i]).toBeCloseTo(value, 5));
    wanted.forEach((value, i) => expect(dw![i]).toBeCloseTo(value, 4));
    for (const list of [roundedW, products]) {
      expect(new Set(list.map(({ held }) => held))).toEqual(new Set([0, 1])); // both kinds were there to be told apart
    }
  });

  it.each<[string, Node[], Tensor[], string]>([
    [
      'weights that are stored as integers',
      [
        makeNode('DequantizeLinear', ['q', 'w_scale', 'w_zero'], ['w'], {}, 'stored'),
        makeNode('MatMul', ['x', 'w'], ['y']),
      ],
      [intTensor('q', 'int8', [inner, columns], new Int8Array(inner * columns)), ...constants],
      "node 'stored' (DequantizeLinear) reads integers that are stored: a quantized model has no weights to train",
    ],
    [
      'a scale that is another on the way back',
      [
        makeNode('QuantizeLinear', ['w', 'y_scale'], ['q'], {}),
        makeNode('DequantizeLinear', ['q', 'w_scale'], ['r'], {}, 'back'),
        makeNode('MatMul', ['x', 'r'], ['y']),
      ],
      [weights, ...constants],
      "node 'back' (DequantizeLinear) has another scale or zero point than the QuantizeLinear before it",
    ],
  ])('is refused where training has %s', (_, nodes, tensors, message) => {
    expect(() => readGraph(modelOf(nodes, tensors), rows)).toThrow(new TrainingFormError(message));
  });
});
