import { attribute, checkAdmission, floatTensor, int64Tensor, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Graph, Model } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { modelOf, numbers } from '../models-for-tests.js';
import { exampleOf, fidelity } from '../quantize/quantize-for-tests.js';
import { computeHalves } from './compute-halves.js';
import { halfTensor } from './half-tensor.js';

const kept = { convertIo: false, blockedOperators: [], blockedNodes: [] };
const casts = ({ graph }: Model) => graph.nodes.filter(({ opType }) => opType === 'Cast').length;
const typeOf = ({ graph }: Model, name: string) => graph.initializers.get(name)?.dataType;
const node = ({ graph }: Model, opType: string) => graph.nodes.find((one) => one.opType === opType)!;

async function expectFaithful(made: Model, parent: Model, dims: readonly number[], decibels = 50): Promise<void> {
  expect(await fidelity(parent, made, exampleOf(dims))).toBeGreaterThan(decibels);
}

const weights = (name: string, dims: readonly number[]) =>
  floatTensor(name, dims, numbers(dims.reduce((all, size) => all * size, 1)));

const upscaling = () =>
  modelOf(
    [3, 6, 6],
    [
      makeNode('Conv', ['input', 'w', 'b'], ['c'], {}, 'conv'),
      makeNode('Resize', ['c', '', 'scales'], ['r'], { mode: attribute('linear') }),
      makeNode('Relu', ['r'], ['a']),
      makeNode('Softmax', ['a'], ['y'], { axis: attribute(1) }, 'last'),
    ],
    [weights('w', [4, 3, 3, 3]), weights('b', [4]), floatTensor('scales', [4], [1, 1, 2, 2])],
    [4, 8, 8],
  );

describe('computing with halves', () => {
  it('keeps inputs, outputs and the scales of Resize, with one Cast at each end', async () => {
    const parent = upscaling();
    const { model, halves, floats } = computeHalves(parent, kept);
    checkAdmission(writeOnnx(model));
    expect(casts(model)).toBe(2);
    expect(halves).toBe(4);
    expect([...floats]).toEqual([]);
    expect(model.graph.inputs).toEqual(parent.graph.inputs);
    expect(model.graph.outputs).toEqual(parent.graph.outputs);
    expect(node(model, 'Resize').inputs[2]).toBe('scales');
    expect([...model.graph.initializers.values()].map(({ name, dataType }) => [name, dataType])).toEqual([
      ['scales', 'float'],
      ['w_half', 'float16'],
      ['b_half', 'float16'],
    ]);
    await expectFaithful(model, parent, [2, 3, 6, 6]);
  });

  it('converts inputs and outputs where it is asked to', async () => {
    const { model } = computeHalves(upscaling(), { ...kept, convertIo: true });
    expect(casts(model)).toBe(0);
    expect([...model.graph.inputs, ...model.graph.outputs].map(({ name, dataType }) => [name, dataType])).toEqual([
      ['input', 'float16'],
      ['y', 'float16'],
    ]);
    await using session = await openSession(writeOnnx(model), { providers: ['cpu'] });
    expect([...session.inputs, ...session.outputs].map(({ datatype }) => datatype)).toEqual(['FP16', 'FP16']);
  });

  it.each([
    ['operators', { blockedOperators: ['Softmax'] }],
    ['nodes', { blockedNodes: ['last'] }],
  ])('leaves %s in floats that are blocked', async (_, more) => {
    const parent = upscaling();
    const { model, floats } = computeHalves(parent, { ...kept, ...more });
    expect([...floats]).toEqual([['Softmax', 1]]);
    expect(node(model, 'Softmax').outputs).toEqual(['y']);
    expect(casts(model)).toBe(2); // at the begin, and before the Softmax
    await expectFaithful(model, parent, [2, 3, 6, 6]);
  });

  it('leaves operators in floats that have no halves, and constants that they alone read', async () => {
    const parent = modelOf(
      [8],
      [
        makeNode('Mul', ['input', 'both'], ['a']),
        makeNode('Max', ['a', 'floor'], ['m']),
        makeNode('Min', ['m', 'both'], ['n']),
        makeNode('TopK', ['n', 'k'], ['top', 'places']),
        makeNode('Mul', ['top', 'last'], ['y']),
      ],
      [weights('both', [8]), weights('floor', [8]), int64Tensor('k', [1], [3]), weights('last', [3])],
      [3],
    );
    const { model, floats } = computeHalves(parent, kept);
    expect([...floats]).toEqual([
      ['Max', 1],
      ['Min', 1],
      ['TopK', 1],
    ]);
    expect(['floor', 'floor_half', 'both', 'both_half', 'last'].map((name) => typeOf(model, name))).toEqual([
      'float',
      undefined,
      'float',
      'float16',
      undefined,
    ]);
    await expectFaithful(model, parent, [2, 8]);
  });

  it('changes what Casts to floats make, and tensors that attributes hold', async () => {
    const parent = modelOf(
      [8],
      [
        makeNode('Shape', ['input'], ['shape']),
        makeNode('Cast', ['shape'], ['sizes'], { to: attribute(1) }),
        makeNode('ReduceSum', ['sizes'], ['total'], { keepdims: attribute(0) }),
        makeNode('ConstantOfShape', ['shape'], ['tenths'], { value: attribute(floatTensor('v', [1], [0.1])) }),
        makeNode('Constant', [], ['two'], { value: attribute(floatTensor('two', [], [2])) }),
        makeNode('Pow', ['input', 'two'], ['square']),
        makeNode('Div', ['square', 'total'], ['d']),
        makeNode('Add', ['d', 'tenths'], ['e']),
        makeNode('Cast', ['e'], ['whole'], { to: attribute(7) }),
        makeNode('Cast', ['whole'], ['back'], { to: attribute(1) }),
        makeNode('Add', ['e', 'back'], ['y']),
      ],
      [],
      [8],
    );
    const { model } = computeHalves(parent, kept);
    await expectFaithful(model, parent, [2, 8]);
  });

  it('leaves what inner graphs read as it is', async () => {
    const inner = (name: string, opType: string): Graph => ({
      name,
      nodes: [makeNode(opType, ['scaled', 'weight'], [`${name}_out`])],
      initializers: new Map(),
      sparseInitializers: new Map(),
      inputs: [],
      outputs: [{ name: `${name}_out`, dataType: 'float', shape: undefined }],
      valueInfo: [],
    });
    const parent = modelOf(
      [8],
      [
        makeNode('Mul', ['input', 'weight'], ['scaled']),
        makeNode('ReduceMax', ['scaled'], ['most'], { keepdims: attribute(0) }),
        makeNode('Greater', ['most', 'zero'], ['open']),
        makeNode('If', ['open'], ['chosen'], {
          then_branch: { kind: 'graph', value: inner('add', 'Add') },
          else_branch: { kind: 'graph', value: inner('mul', 'Mul') },
        }),
        makeNode('Tanh', ['chosen'], ['y']),
      ],
      [weights('weight', [8]), floatTensor('zero', [], [0])],
      [8],
    );
    const { model, halves } = computeHalves(parent, kept);
    expect(halves).toBe(3); // all but the If, and what it gives
    expect(typeOf(model, 'weight')).toBe('float');
    await expectFaithful(model, parent, [2, 8]);
  });

  it('clamps weights to the halves there are, counts them, and refuses NaN', () => {
    const { tensor, clamped } = halfTensor(floatTensor('w', [7], [1e9, -1e9, 1e-30, -1e-30, 0, -Infinity, 1 / 3]));
    expect(Array.from(new Uint16Array(tensor.bytes.buffer))).toEqual([0x7bff, 0xfbff, 1, 0x8001, 0, 0xfc00, 0x3555]);
    expect(clamped).toBe(4);
    expect(() => halfTensor(floatTensor('w', [2], [1, NaN]))).toThrow("constant 'w' is NaN at 1, wants a number");
  });
});
