import { trainer } from '@modelmill/contracts';
import { planTraining } from './training-plan.js';

type Partial = Parameters<typeof trainer.TrainingSpec.fromPartial>[0];
const dense = { kind: { $case: 'dense' as const, dense: { units: 10, activation: '' } } };
const plan = (spec: Partial) =>
  planTraining(trainer.TrainingSpec.fromPartial({ model: 'm', data: { dataset: 'd' }, layers: [dense], ...spec }));

describe('planTraining', () => {
  it('fills in the defaults its contract names', () => {
    expect(plan({})).toMatchObject({
      optimizer: { kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
      learningRate: 0.001,
      schedule: 'constant',
      normalize: 'none',
      epochs: 10,
      batchSize: 64,
      clipNorm: 0,
      seed: '0',
    });
    expect(plan({ distillation: { version: '1' } }).distillation).toEqual({
      model: 'm',
      version: '1',
      temperature: 4,
      mix: 0.7,
    });
  });

  it('keeps a seed of 64 bits', () => expect(plan({ seed: 2n ** 64n - 1n }).seed).toBe('18446744073709551615'));

  it.each<[string, Partial, RegExp]>([
    ['a model without a name', { model: '' }, /^model is ''/],
    ['a path for a name', { model: '../x' }, /^model is '..\/x'/],
    ['no dataset', { data: {} }, /^data.dataset is ''/],
    ['neither layers nor base', { layers: [] }, /either layers or a base, got neither/],
    ['layers and base', { base: { source: { $case: 'version', version: '1' } } }, /either layers or a base, got both/],
    ['an unknown loss', { loss: 'hinge' }, /^loss is 'hinge', wants one of cross_entropy, mse/],
    ['an unknown normalization', { data: { dataset: 'd', normalize: 'log' } }, /^data.normalize is 'log'/],
    ['an unknown schedule', { optimizer: { schedule: 'steps' } }, /^optimizer.schedule is 'steps'/],
    ['SGD without a rate', { optimizer: { kind: { $case: 'sgd', sgd: {} } } }, /^optimizer.sgd.learning_rate is 0/],
    ['a negative clipping norm', { optimizer: { clipNorm: -1 } }, /^optimizer.clip_norm is -1/],
    ['too many epochs', { epochs: 100_001 }, /^epochs is 100001, wants 1 to 100000/],
    ['a mix beyond 1', { distillation: { version: '1', mix: 2 } }, /^distillation.mix is 2/],
    ['a layer of no kind', { layers: [{}] }, /^layers\[0\] names no kind of layer/],
    ['a layer of no units', { layers: [{ kind: { $case: 'dense', dense: {} } }] }, /^layers\[0\].dense.units is 0/],
    [
      'an unknown activation',
      { layers: [{ kind: { $case: 'activation', activation: { function: 'swoosh' } } }] },
      /^layers\[0\].activation.function is 'swoosh', wants one of relu/,
    ],
    [
      'a kernel of three sizes',
      { layers: [{ kind: { $case: 'conv2d', conv2d: { filters: 1, kernel: [1, 2, 3] } } }] },
      /^layers\[0\].conv2d.kernel is \[1, 2, 3\]/,
    ],
    [
      'a dropout of everything',
      { layers: [{ kind: { $case: 'dropout', dropout: { rate: 1 } } }] },
      /^layers\[0\].dropout.rate is 1/,
    ],
  ])('refuses %s and names the field', (_, spec, message) => expect(() => plan(spec)).toThrow(message));
});
