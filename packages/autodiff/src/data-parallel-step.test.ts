import { buildLayers } from './build-layers.js';
import { dataParallelStep } from './data-parallel-step.js';
import type { LayerSpec } from './layer-spec.js';
import type { StepOptions } from './step-options.js';

const dense = (units: number): LayerSpec => ({ kind: 'dense', units, activation: 'relu' });
const adam = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };

function parted(changes: Partial<StepOptions> = {}, layers: readonly LayerSpec[] = [dense(64), dense(64), dense(4)]) {
  const { forward } = buildLayers(layers, {
    featureShape: [64],
    name: 'parted',
    random: (_, count) => Float32Array.from({ length: count }, (_, i) => ((i * 7) % 11) / 10),
  });
  return dataParallelStep(
    forward,
    {
      batchSize: 2_048,
      loss: { kind: 'cross_entropy' },
      optimizer: { kind: 'adam', ...adam, weightDecay: 0 },
      ...changes,
    },
    2,
  );
}

describe('a step is parted among threads', () => {
  it.each<[string, Partial<StepOptions>]>([
    ['as it is', {}],
    ['with smoothed labels', { loss: { kind: 'cross_entropy', labelSmoothing: 0.1 } }],
    ['of a loss of numbers', { loss: { kind: 'huber', delta: 1 } }],
  ])('%s', (_, changes) => {
    expect(parted(changes)?.shares).toBe(2);
  });

  it.each<[string, Partial<StepOptions>]>([
    [
      'a mean over weighted rows is not that of its shares',
      { loss: { kind: 'cross_entropy', classWeights: [1, 2, 3, 4] } },
    ],
    ['nor one over the rows that count', { loss: { kind: 'cross_entropy', ignoreIndex: 2 } }],
    ['a batch has no half', { batchSize: 2_049 }],
    ['batches are gathered', { accumulate: 2 }],
    [
      'an update works on whole matrices',
      { optimizer: { kind: 'muon', momentum: 0.95, weightDecay: 0, adam, adamRate: 1 } },
    ],
    ['a slot is read twice', { optimizer: { kind: 'lion', beta1: 0.9, beta2: 0.99, weightDecay: 0 } }],
    ['importance is summed up', { importance: true }],
    ['there is a teacher', { distillation: { temperature: 2, mix: 0.5 } }],
    ['weights are pruned', { pruned: ['layer0.weight'] }],
    ['there is too little to do', { batchSize: 64 }],
  ])('not where %s', (_, changes) => {
    expect(parted(changes)).toBeUndefined();
  });

  it('not where zeros among its weights are kept', () => {
    expect(parted({ keepZeros: true })).toBeUndefined(); // a half makes one
  });

  it('not where batch normalization makes an example depend on others', () => {
    const norm: LayerSpec = { kind: 'batch_norm', momentum: 0.9, epsilon: 1e-5 };
    expect(parted({}, [dense(64), norm, dense(64), dense(4)])).toBeUndefined();
  });

  it('not where a weight takes little of the work', () => {
    expect(parted({ batchSize: 512 }, [dense(512), dense(512), dense(4)])).toBeDefined();
    const wide = [dense(1_024), dense(1_024), dense(4)];
    expect(parted({ batchSize: 64 }, wide)).toBeUndefined();
    expect(parted({ batchSize: 96 }, wide)).toBeDefined();
    const optimizer = { kind: 'sgd', momentum: 0.9, nesterov: false } as const;
    expect(parted({ batchSize: 96, optimizer }, wide)).toBeUndefined();
    expect(parted({ batchSize: 192, optimizer }, wide)).toBeDefined();
  });
});
