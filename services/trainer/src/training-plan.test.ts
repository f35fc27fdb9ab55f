import { trainer } from '@modelmill/contracts';
import { planTraining } from './training-plan.js';

type Partial = Parameters<typeof trainer.TrainingSpec.fromPartial>[0];
const dense = { kind: { $case: 'dense' as const, dense: { units: 10, activation: '' } } };
const plan = (spec: Partial) =>
  planTraining(trainer.TrainingSpec.fromPartial({ model: 'm', data: { dataset: 'd' }, layers: [dense], ...spec }));

const base = { source: { $case: 'version' as const, version: '1' } };
const based = { layers: [], base };
const pruning = { groups: [{ weights: ['w'], finalSparsity: 0.5 }] };
const residual = (layers: (typeof dense | object)[]) => ({
  kind: { $case: 'residual' as const, residual: { layers } },
});

describe('planTraining', () => {
  it('fills in the defaults of layers, presets and fine-tuning', () => {
    const layer = (kind: object) => plan({ layers: [{ kind } as never] }).start;
    expect(layer({ $case: 'conv1d', conv1d: { filters: 4, kernel: 3 } })).toEqual({
      kind: 'layers',
      layers: [{ kind: 'conv1d', filters: 4, kernel: 3, stride: 1, padding: 'same', groups: 1, dilation: 1 }],
    });
    expect(layer({ $case: 'lstm', lstm: { units: 5, returnSequences: true } })).toMatchObject({
      layers: [{ kind: 'lstm', units: 5, bidirectional: false, sequences: true }],
    });
    expect(layer({ $case: 'transformerBlock', transformerBlock: { heads: 2, withoutBias: true } })).toMatchObject({
      layers: [{ kind: 'transformer_block', mlpRatio: 4, activation: 'gelu', dropout: 0, bias: false }],
    });
    expect(plan({ layers: [], preset: { kind: { $case: 'gpt', gpt: {} } } }).start).toEqual({
      kind: 'preset',
      preset: { kind: 'gpt', layers: 4, heads: 4, width: 128, dropout: 0, bias: false, tied: false },
    });
    expect(plan({ layers: [], base: { ...base, lora: { targets: ['q*'] } } }).start).toMatchObject({
      kind: 'version',
      fineTuning: { freeze: [], lora: { rank: 8, alpha: 16, targets: ['q*'] }, trainStatistics: false },
    });
  });

  it('fills in the defaults its contract names', () => {
    expect(plan({})).toMatchObject({
      optimizer: { kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
      learningRate: 0.001,
      schedule: { kind: 'constant', warmupSteps: 0 },
      mode: 'mini_batch',
      earlyStopping: undefined,
      monitored: 'loss',
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
      features: [],
    });
  });

  it('keeps a seed of 64 bits', () => expect(plan({ seed: 2n ** 64n - 1n }).seed).toBe('18446744073709551615'));

  it.each<[string, Partial, RegExp]>([
    ['a model without a name', { model: '' }, /^model is ''/],
    ['a path for a name', { model: '../x' }, /^model is '..\/x'/],
    ['no dataset', { data: {} }, /^data.dataset is ''/],
    ['neither layers nor base', { layers: [] }, /wants one of layers, preset and base, got none/],
    ['layers and base', { base }, /wants one of layers, preset and base, got layers and base/],
    ['layers and a preset', { preset: {} }, /wants one of layers, preset and base, got layers and preset/],
    ['a preset of no network', { layers: [], preset: {} }, /^preset names no network/],
    [
      'a ResNet of another depth',
      { layers: [], preset: { kind: { $case: 'resnet', resnet: { depth: 50 } } } },
      /^preset.resnet.depth is 50, wants 10 or 18/,
    ],
    [
      'a layer inside a layer',
      { layers: [residual([dense, { kind: { $case: 'maxPool2d', maxPool2d: {} } }])] },
      /^layers\[0\].residual.layers\[1\].max_pool2d.kernel is \[\]/,
    ],
    ['a residual of nothing', { layers: [residual([])] }, /^layers\[0\].residual.layers is empty/],
    [
      'an unknown merge',
      { layers: [{ kind: { $case: 'parallel', parallel: { merge: 'mean' } } }] },
      /^layers\[0\].parallel.merge is 'mean', wants one of add, concat/,
    ],
    [
      'no heads',
      { layers: [{ kind: { $case: 'transformerBlock', transformerBlock: {} } }] },
      /^layers\[0\].transformer_block.heads is 0/,
    ],
    ['a head of nothing', { layers: [], base: { ...base, head: {} } }, /^base.head.layers is empty/],
    [
      'a head that is wrong within',
      { layers: [], base: { ...base, head: { layers: [{ kind: { $case: 'dense', dense: {} } }] } } },
      /^base.head.layers\[0\].dense.units is 0/,
    ],
    ['an empty glob', { layers: [], base: { ...base, freeze: ['a', ''] } }, /^base.freeze\[1\] is '', wants a glob/],
    ['a glob of many stars', { layers: [], base: { ...base, freeze: ['*a'.repeat(9)] } }, /at most 8 stars/],
    [
      'adapters of a pruned base',
      { layers: [], base: { ...base, keepZeros: true, lora: {} } },
      /^base.lora and base.keep_zeros exclude each other/,
    ],
    ['pruning of nothing that is there', { pruning }, /^pruning wants a base$/],
    ['pruning and what would undo it', { ...based, pruning, restoreBest: true }, /^pruning and restore_best exclude/],
    ['importance that would be served', { ...based, importance: true }, /^importance wants a base and artifact_only/],
    [
      'importance of what is trained',
      { ...based, importance: true, artifactOnly: true, pruning },
      /^importance and pruning exclude each other: nothing is trained/,
    ],
    ['an unknown loss', { loss: 'hinge' }, /^loss is 'hinge', wants one of cross_entropy, binary_cross_entropy, mse/],
    ['two losses', { loss: 'mse', losses: [{ kind: 'mae' }] }, /^loss and losses exclude each other/],
    [
      'smoothed numbers',
      { losses: [{ kind: 'mse', labelSmoothing: 0.1 }] },
      /^losses\[0\]\.label_smoothing is set, wants it left out for mse/,
    ],
    [
      'two schedules',
      { optimizer: { schedule: 'cosine', scheduled: { kind: 'step' } } },
      /^optimizer.schedule and optimizer.scheduled exclude/,
    ],
    [
      'a group of nothing',
      { optimizer: { groups: [{}] } },
      /^optimizer.groups\[0\].weights is empty, wants at least one glob/,
    ],
    ['a batch size for all rows', { mode: 'full_batch', batchSize: 8 }, /^mode and batch_size exclude each other/],
    ['an average of nothing new', { optimizer: { ema: 1 } }, /^optimizer.ema is 1, wants 0 to 0.999999/],
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
