import { buildLayers, trainingStep } from '@modelmill/autodiff';
import { trainer } from '@modelmill/contracts';
import { stepOptions } from './prepared-training.js';
import { planTraining } from './training-plan.js';

/** Two convolutions of which the second has enough of everything for columns to pay on a CPU. */
const convolution = { filters: 16, kernel: [3, 3] };
const layers = [0, 1].map(() => ({ kind: { $case: 'conv2d' as const, conv2d: convolution } }));
const featureShape = [1, 6, 6];

it.each([
  ['cpu', 4],
  ['webgpu', 0],
  ['cuda', 0],
])(
  'a step for the provider %s gathers %d times: windows for a convolution and its input, tiles and places for its weight',
  (provider, expected) => {
    const spec = { model: 'm', data: { dataset: 'd' }, layers, provider, batchSize: 16 };
    const plan = planTraining(trainer.TrainingSpec.fromPartial(spec));
    if (plan.start.kind !== 'layers') throw new Error(`starts from ${plan.start.kind}`);
    const random = (_: number, count: number) => new Float32Array(count).fill(0.5);
    const { forward } = buildLayers(plan.start.layers, { featureShape, random, name: 'net' });
    const { model } = trainingStep(forward, stepOptions(plan, [{ kind: 'mse' }], featureShape));
    expect(model.graph.nodes.filter(({ opType }) => opType === 'Gather')).toHaveLength(expected);
  },
);
