import { attribute, floatTensor, makeNode } from '@modelmill/onnx';
import type { Node } from '@modelmill/onnx';
import { modelOf, numbers } from '../models-for-tests.js';
import { matrixLayers } from './matrix-layers.js';
import { openOnCpu } from './quantize-for-tests.js';
import { quantizeWeights } from './quantize-weights.js';

const table = floatTensor('table', [40, 32], numbers(1280));
const turn = makeNode('Transpose', ['table'], ['columns'], { perm: attribute([1, 0]) });
const model = (nodes: Node[], features = 32, width = 40) => modelOf([features], nodes, [table], [width]);
const head = makeNode('MatMul', ['input', 'columns'], ['y']);

describe('the matrices of products', () => {
  it('are those that a Transpose turns, too: the head of a tied embedding', () => {
    const [layer] = matrixLayers(model([turn, head]));
    expect(layer).toMatchObject({ isTurned: true, matrix: { k: 32, n: 40 } });
    expect(layer!.matrix.values[1]).toBe(numbers(1280)[32]);
    const twice = makeNode('Gemm', ['input', 'columns'], ['y'], { transB: attribute(1) });
    expect(matrixLayers(model([turn, twice], 40, 32))).toMatchObject([{ isTurned: false, matrix: { k: 40, n: 32 } }]);
  });

  it('are taken in one way where a constant is taken in two', () => {
    const back = makeNode('MatMul', ['y', 'table'], ['z']);
    expect(matrixLayers(model([turn, head, back], 32, 32)).map(({ node }) => node)).toEqual([head]);
  });

  it('are stored in eight bits turned, and answer as before', async () => {
    const tied = model([turn, head]);
    const input = { dims: [2, 32], data: numbers(64) };
    const answer = async () => {
      await using session = await openOnCpu(tied);
      return [...((await session.run({ input }))['y']!.data as Float32Array)];
    };
    const before = await answer();
    const form = { bits: 8, block: 32, symmetric: false, method: 'nearest', onLayer: async () => {} } as const;
    expect(await quantizeWeights(tied, form)).toBe(1);
    expect(tied.graph.nodes.map(({ opType }) => opType)).toEqual(['MatMulNBits']);
    expect(tied.graph.initializers.has('table')).toBe(false);
    (await answer()).forEach((value, i) => expect(Math.abs(value - before[i]!)).toBeLessThan(0.1));
    expect(Math.max(...before)).toBeGreaterThan(1);
  });
});
