import { cloneModel, floatTensor, int64Tensor, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import type { SessionOptions } from '@modelmill/runtime';
import { modelOf, numbers } from '../models-for-tests.js';
import { asLayerListsHaveIt, asOneOperator, asPyTorchExports } from './attention-nets-for-tests.js';
import { nets as others, tensor } from './nets-for-tests.js';
import type { Net } from './nets-for-tests.js';
import { pruneStructured } from './prune-structured.js';
import { weightFigures } from '../weighted-layers.js';

const nets: Readonly<Record<string, Net>> = {
  ...others,
  'layer list with attention': asLayerListsHaveIt,
  'PyTorch encoder': asPyTorchExports,
  'set 23 encoder': asOneOperator,
};

/** The dense model in which every reader of a value sees zeros in these channels of its axis 1. */
function masked(parent: Model, gone: Net['gone']): Model {
  const model = cloneModel(parent);
  const { graph } = model;
  for (const [value, [width, channels, ...after]] of Object.entries(gone)) {
    const mask = Float32Array.from({ length: width }, (_, c) => (channels.includes(c) ? 0 : 1));
    graph.initializers.set(`${value}.mask`, floatTensor(`${value}.mask`, [width, ...after], mask));
    for (const node of graph.nodes) {
      node.inputs = node.inputs.map((input) => (input === value ? `${value}.masked` : input));
    }
    const at = graph.nodes.findIndex(({ outputs }) => outputs[0] === value) + 1;
    graph.nodes.splice(at, 0, makeNode('Mul', [value, `${value}.mask`], [`${value}.masked`]));
  }
  return model;
}

async function answer(
  model: Model,
  graphOptimization: SessionOptions['graphOptimization'] = 'disabled',
): Promise<Float32Array> {
  await using session = await openSession(writeOnnx(model), { providers: ['cpu'], graphOptimization });
  const [, ...example] = model.graph.inputs[0]!.shape as number[];
  const count = 3 * example.reduce((a, b) => a * b, 1);
  const outputs = await session.run({ input: { dims: [3, ...example], data: numbers(count) } });
  return outputs[model.graph.outputs[0]!.name]!.data as Float32Array;
}

/** The largest difference of an answer, as a share of the largest answer where that is more than 1. */
async function difference(a: Model, b: Model, optimization?: SessionOptions['graphOptimization']): Promise<number> {
  const [got, wanted] = await Promise.all([answer(a, optimization), answer(b)]);
  expect(got).toHaveLength(wanted.length);
  const largest = Math.max(1, ...wanted.map(Math.abs));
  return Math.max(...got.map((value, i) => Math.abs(value - wanted[i]!))) / largest;
}

describe('structured pruning', () => {
  it.each(Object.entries(nets))('of a %s net answers as the dense net with those channels masked', async (_, net) => {
    const { model: cut } = pruneStructured(net.model, { ratio: net.ratio, multiplyAdds: 0, roundTo: 1 });
    expect(await difference(cut, masked(net.model, net.gone))).toBeLessThan(1e-5);
    expect(await difference(cut, net.model)).toBeGreaterThan(1e-5);
    expect(await difference(cut, cut, 'all')).toBeLessThan(1e-5);
  });

  it.each(Object.entries(nets))('of a %s net leaves the weights and multiply-adds counted by hand', (_, net) => {
    const pruned = pruneStructured(net.model, { ratio: net.ratio, multiplyAdds: 0, roundTo: 1 });
    expect(weightFigures(pruned.model).parameters).toBe(net.parameters);
    expect(pruned.multiplyAdds[1]).toBe(net.multiplyAdds);
  });

  it('comes down to a share of the multiply-adds by as few channels as do', () => {
    const { model } = nets['residual']!;
    const { removed, multiplyAdds } = pruneStructured(model, { ratio: 0, multiplyAdds: 0.5, roundTo: 1 });
    const [before, after] = multiplyAdds;
    expect(after).toBeLessThanOrEqual(before / 2);
    const fewer = pruneStructured(model, { ratio: (removed - 1) / 11, multiplyAdds: 0, roundTo: 1 });
    expect(fewer.multiplyAdds[1]).toBeGreaterThan(before / 2);
  });

  it('leaves widths that are multiples, or as they were', () => {
    const { model } = pruneStructured(nets['residual']!.model, { ratio: 0.4, multiplyAdds: 0, roundTo: 4 });
    const widthOf = (name: string) => model.graph.initializers.get(name)!.dims[0];
    expect(['a.w', 'b.w', 'c.w', 'w'].map(widthOf)).toEqual([4, 4, 4, 4]);
  });

  it('says so where nothing can be removed', () => {
    const layer = modelOf([5], [makeNode('Gemm', ['input', 'w'], ['y'])], [tensor('w', [5, 3])], [3]);
    expect(() => pruneStructured(layer, { ratio: 0.5, multiplyAdds: 0, roundTo: 1 })).toThrow(
      'there is no channel to remove: every layer either makes an output of the model or is read by an operator that ' +
        'needs all its channels',
    );
  });

  it('leaves whole what an operator it does not know reads', () => {
    const unknown = cloneModel(nets['fully connected']!.model);
    unknown.graph.nodes[1] = makeNode('CumSum', ['a', 'axis'], ['a.relu']);
    unknown.graph.initializers.set('axis', int64Tensor('axis', [], [1]));
    const { model, channels } = pruneStructured(unknown, { ratio: 0.5, multiplyAdds: 0, roundTo: 1 });
    expect(channels).toBe(7);
    expect(model.graph.initializers.get('u')!.dims).toEqual([6, 5]);
  });

  it('says how far it comes where a share of the multiply-adds is out of reach', () =>
    expect(() => pruneStructured(nets['depthwise']!.model, { ratio: 0, multiplyAdds: 0.01, roundTo: 1 })).toThrow(
      '1 % of the multiply-adds cannot be reached: without every channel that can be removed, 16.7 % are left',
    ));
});
