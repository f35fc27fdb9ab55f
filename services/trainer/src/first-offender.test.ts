import { buildLayers, trainingStep } from '@modelmill/autodiff';
import type { LayerSpec } from '@modelmill/autodiff';
import { firstOffender } from './first-offender.js';

const block: LayerSpec = {
  kind: 'transformer_block',
  heads: 2,
  causal: true,
  mlpRatio: 2,
  activation: 'gelu',
  dropout: 0,
};
const tokens = () => ({ dims: [3, 5], data: new BigInt64Array(15) });

describe('the first tensor that holds no number', () => {
  it.each([
    ['in plain operators', false],
    ['in those that are faster on a CPU', true],
  ])('is named in a step of a transformer written %s', async (_, columns) => {
    const { forward } = buildLayers(
      [{ kind: 'embedding', vocabulary: 7, width: 8 }, block, { kind: 'dense', units: 7 }],
      {
        name: 'text',
        featureShape: [5],
        tokens: { vocabulary: 7 },
        random: (_stream, count) => new Float32Array(count).fill(0.1),
      },
    );
    const { model, inputs, state } = trainingStep(forward, {
      batchSize: 3,
      exampleShape: [5],
      loss: { kind: 'cross_entropy' },
      optimizer: { kind: 'sgd', momentum: 0, nesterov: false },
      columns,
    });
    expect(model.graph.nodes.some(({ opType }) => opType === 'FusedMatMul')).toBe(columns);
    const large = state.map(({ input, dims, initial }) => [
      input,
      { dims, data: initial.map((value) => 1e30 * (value || 1)) },
    ]);
    const feeds = {
      [inputs.features]: tokens(),
      [inputs.targets]: tokens(),
      [inputs.learningRate]: { dims: [], data: Float32Array.of(0.1) },
      ...(Object.fromEntries(large) as Record<string, { dims: readonly number[]; data: Float32Array<ArrayBuffer> }>),
    };
    expect(await firstOffender(model, feeds)).toMatch(/made by node 'layer1\.attention\.qkv\.product' \(MatMul\)$/);
  });
});
