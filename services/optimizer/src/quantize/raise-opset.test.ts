import { attribute, cloneModel, floatAttribute, floatTensor, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Model, Node } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { modelOf, numbers } from '../models-for-tests.js';
import { raiseOpset } from './raise-opset.js';

const example = [2, 3, 4];

function ofOpset(opset: number, nodes: Node[], output: readonly number[]): Model {
  const model = modelOf(example, nodes, [floatTensor('w', [24, 3], numbers(72))], output);
  model.opsets.set('', opset);
  return { ...model, irVersion: 4 };
}

const flat = makeNode('Flatten', ['input'], ['flat']);
const cases: readonly (readonly [string, Model])[] = [
  ['a Softmax over all axes of an example', ofOpset(9, [makeNode('Softmax', ['input'], ['y'])], example)],
  [
    'a LogSoftmax over the last axes',
    ofOpset(11, [makeNode('LogSoftmax', ['input'], ['y'], { axis: attribute(2) })], example),
  ],
  ['the Softmax of a matrix', ofOpset(9, [flat, makeNode('Softmax', ['flat'], ['y'])], [24])],
  [
    'a Clip by attributes',
    ofOpset(9, [makeNode('Clip', ['input'], ['y'], { min: floatAttribute(-0.25), max: floatAttribute(0.5) })], example),
  ],
  ['a Clip without a least', ofOpset(9, [makeNode('Clip', ['input'], ['y'], { max: floatAttribute(0.5) })], example)],
  [
    'a Dropout',
    ofOpset(
      9,
      [makeNode('Dropout', ['input'], ['d'], { ratio: floatAttribute(0.5) }), makeNode('Relu', ['d'], ['y'])],
      example,
    ),
  ],
  [
    'Unsqueeze, Squeeze and ReduceSum',
    ofOpset(
      9,
      [
        makeNode('Unsqueeze', ['input'], ['u'], { axes: attribute([1]) }),
        makeNode('ReduceSum', ['u'], ['r'], { axes: attribute([3]) }),
        makeNode('Squeeze', ['r'], ['y'], { axes: attribute([1]) }),
      ],
      [2, 1, 4],
    ),
  ],
  [
    'a Split into unequal parts',
    ofOpset(
      9,
      [
        makeNode('Split', ['input'], ['one', 'two'], { axis: attribute(2), split: attribute([1, 2]) }),
        makeNode('Concat', ['two', 'one'], ['y'], { axis: attribute(2) }),
      ],
      example,
    ),
  ],
];

async function answer(model: Model): Promise<number[]> {
  await using session = await openSession(writeOnnx(model), { providers: ['cpu'] });
  const outputs = await session.run({ input: { dims: [2, ...example], data: numbers(48) } });
  return [...(outputs['y']!.data as Float32Array)];
}

describe('raising the opset', () => {
  it.each(cases)('keeps the answer of %s', async (_, model) => {
    const raised = cloneModel(model);
    raiseOpset(raised);
    expect(raised.opsets.get('')).toBe(13);
    const got = await answer(raised);
    const wanted = await answer(model);
    expect(got).toHaveLength(wanted.length);
    for (const [i, value] of wanted.entries()) expect(got[i]).toBeCloseTo(value, 6);
  });

  it('leaves a newer model as it is', () => {
    const model = ofOpset(18, [makeNode('Softmax', ['input'], ['y'], { axis: attribute(1) })], example);
    const before = structuredClone(model.graph.nodes);
    raiseOpset(model);
    expect(model.opsets.get('')).toBe(18);
    expect(model.graph.nodes).toEqual(before);
  });

  it('names the node that has no equal', () => {
    const model = ofOpset(9, [makeNode('Upsample', ['input', 'w'], ['y'], {}, 'up')], example);
    expect(() => raiseOpset(model)).toThrow(
      "node 'up' (Upsample) of opset 9 says something else in opset 13, which quantization wants: " +
        'export the model with opset 13 or later',
    );
    expect(() => raiseOpset(ofOpset(6, [flat], [24]))).toThrow('the model has opset 6, quantization wants 7 or later');
  });
});
