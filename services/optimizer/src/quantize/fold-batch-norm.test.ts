import { attribute, cloneModel, floatAttribute, floatTensor, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Attribute, Model, Node, Tensor } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { foldBatchNorm } from './fold-batch-norm.js';
import { modelOf, numbers } from '../models-for-tests.js';

const tensor = (name: string, dims: number[]) =>
  floatTensor(
    name,
    dims,
    numbers(dims.reduce((a, b) => a * b, 1)).map((value) => value + name.length / 40),
  );
const positive = (name: string, channels: number) =>
  floatTensor(
    name,
    [channels],
    numbers(channels).map((value) => value + 1.5),
  );

function batchNorm(
  input: string,
  output: string,
  attributes: Record<string, Attribute> = {},
  more: string[] = [],
): Node {
  const inputs = [input, 'gamma', 'beta', 'mean', 'variance'];
  return makeNode('BatchNormalization', inputs, [output, ...more], { epsilon: floatAttribute(0.01), ...attributes });
}
const statistics = (channels: number) => [
  tensor('gamma', [channels]),
  tensor('beta', [channels]),
  tensor('mean', [channels]),
  positive('variance', channels),
];

const image = [4, 5, 5];
const pads = attribute([1, 1, 1, 1]);

function convNet(group: number, bias: readonly Tensor[]): Model {
  const weights = tensor('w', [6, 4 / group, 3, 3]);
  const inputs = ['input', 'w', ...bias.map(({ name }) => name)];
  return modelOf(
    image,
    [
      makeNode('Conv', inputs, ['c'], { pads, group: attribute(group) }),
      batchNorm('c', 'n'),
      makeNode('Relu', ['n'], ['y']),
    ],
    [weights, ...bias, ...statistics(6)],
    [6, 5, 5],
  );
}

const gemmNet = (transB: number, bias: Tensor): Model =>
  modelOf(
    [4],
    [
      makeNode('Gemm', ['input', 'w', bias.name], ['g'], {
        transB: attribute(transB),
        alpha: floatAttribute(0.5),
        beta: floatAttribute(3),
      }),
      batchNorm('g', 'y'),
    ],
    [tensor('w', transB ? [6, 4] : [4, 6]), bias, ...statistics(6)],
    [6],
  );

const nets: readonly (readonly [string, Model])[] = [
  ['a Conv without bias', convNet(1, [])],
  ['a Conv with a bias', convNet(1, [tensor('b', [6])])],
  ['a Conv in groups', convNet(2, [tensor('b', [6])])],
  ['a Gemm with factors', gemmNet(0, tensor('b', [6]))],
  ['a transposed Gemm with one bias for all', gemmNet(1, tensor('b', [1]))],
];

async function answer(model: Model): Promise<Float32Array> {
  await using session = await openSession(writeOnnx(model), { providers: ['cpu'], graphOptimization: 'disabled' });
  const [, ...example] = model.graph.inputs[0]!.shape as number[];
  const count = 3 * example.reduce((a, b) => a * b, 1);
  const outputs = await session.run({ input: { dims: [3, ...example], data: numbers(count) } });
  return outputs[model.graph.outputs[0]!.name]!.data as Float32Array;
}

const operators = ({ graph }: Model) => graph.nodes.map(({ opType }) => opType);

describe('folding a batch norm', () => {
  it.each(nets)('into %s keeps the answer', async (_, net) => {
    const folded = cloneModel(net);
    expect(foldBatchNorm(folded)).toBe(1);
    expect(operators(folded)).not.toContain('BatchNormalization');
    expect([...folded.graph.initializers.keys()]).not.toContain('gamma');
    const wanted = await answer(net);
    const got = await answer(folded);
    expect(Math.max(...wanted.map((value, i) => Math.abs(value - got[i]!)))).toBeLessThan(1e-5);
  });

  it('leaves a layer whose output has another reader', () => {
    const net = convNet(1, []);
    net.graph.outputs.push({ name: 'c', dataType: 'float', shape: undefined });
    expect(foldBatchNorm(net)).toBe(0);
    expect(operators(net)).toEqual(['Conv', 'BatchNormalization', 'Relu']);
  });

  it('takes statistics that old files list as inputs from the inputs', async () => {
    const net = convNet(1, []);
    const old = { ...cloneModel(net), irVersion: 3 };
    for (const { name, dims } of old.graph.initializers.values()) {
      old.graph.inputs.push({ name, dataType: 'float', shape: dims });
    }
    expect(foldBatchNorm(old)).toBe(1);
    expect(old.graph.inputs.map(({ name }) => name)).toEqual(['input']);
    expect(await answer(old)).toHaveLength((await answer(net)).length);
  });

  it('leaves a batch norm in training form', () => {
    const net = convNet(1, []);
    net.graph.nodes[1] = batchNorm('c', 'n', { training_mode: attribute(1) }, ['mean_out', 'variance_out']);
    expect(foldBatchNorm(net)).toBe(0);
  });

  it('does not change weights that another layer shares', async () => {
    const net = convNet(1, []);
    net.graph.nodes.push(
      makeNode('Conv', ['input', 'w'], ['other'], { pads }),
      makeNode('Add', ['y', 'other'], ['sum']),
    );
    net.graph.outputs = [{ name: 'sum', dataType: 'float', shape: ['n', 6, 5, 5] }];
    const folded = cloneModel(net);
    expect(foldBatchNorm(folded)).toBe(1);
    const wanted = await answer(net);
    const got = await answer(folded);
    expect(Math.max(...wanted.map((value, i) => Math.abs(value - got[i]!)))).toBeLessThan(1e-5);
  });
});
