import { status } from '@grpc/grpc-js';
import { optimizer } from '@modelmill/contracts';
import { planOptimization } from './optimization-plan.js';

const quantize = { quantizeStatic: {} };
const prune = (fields: object = {}) => ({ pruneMagnitude: { sparsity: 0.8, ...fields } });
const distill = (fields: object = {}) => ({ distill: { student: [{ dense: { units: 10 } }], ...fields } });
const planOf = (fields: object) =>
  planOptimization(
    optimizer.OptimizationSpec.fromJSON({
      model: 'digits',
      version: 'stable',
      data: { dataset: 'digits' },
      passes: [quantize],
      ...fields,
    }),
  );

describe('an optimization plan', () => {
  it('takes a pattern of zeros, or says what is wrong with it', () => {
    const passes = (fields: object) => planOf({ passes: [prune(fields)] }).passes[0];
    expect(passes({ sparsity: 0, pattern: '1:4' })).toMatchObject({
      settings: { pattern: { kept: 1, of: 4 } },
    });
    expect(() => passes({ sparsity: 0, pattern: '4:4' })).toThrow(/pattern is '4:4', wants two numbers such as 2:4/);
    expect(() => passes({ sparsity: 0.5, pattern: '2:4' })).toThrow(/leave one of the two out/);
    for (const [field, value] of Object.entries({ layers: [{ match: 'a' }], scope: 'layer', gradual: {} })) {
      expect(() => passes({ sparsity: 0, pattern: '2:4', [field]: value })).toThrow(
        `passes[0].prune_magnitude.${field} is set, but the pattern says which weights become zero`,
      );
    }
  });

  it('has the passes that a preset stands for', () => {
    const kindsOf = (preset: string) => planOf({ passes: [], preset }).passes.map(({ kind }) => kind);
    expect(kindsOf('compact')).toEqual(['prune_structured', 'share_weights']);
    expect(kindsOf('fast')).toEqual(['prune_structured', 'quantize_static']);
  });

  it('has the defaults that the contract states', () =>
    expect(planOf({ passes: [distill(), prune(), quantize] })).toMatchObject({
      data: { dataset: 'digits', version: '', normalize: 'none' },
      bound: { maxDrop: 0.05, field: 'max_drop' },
      passes: [
        {
          kind: 'distill',
          settings: { epochs: 30, batchSize: 64, temperature: 4, mix: 0.7, optimizer: undefined },
        },
        { kind: 'prune_magnitude', settings: { sparsity: 0.8, epochs: 10, learningRate: 0.001 } },
        {
          kind: 'quantize_static',
          settings: { samples: 256, calibration: 'minmax', cpu: 'here', equalize: false, correctBiases: false },
        },
      ],
    }));

  it.each([
    [{ model: '' }, "model is '', wants a name of [a-zA-Z0-9][a-zA-Z0-9_-]{0,62}"],
    [{ version: 'a b' }, "version is 'a b', wants a name of [a-zA-Z0-9][a-zA-Z0-9_-]{0,62}"],
    [{ data: {} }, "data.dataset is '', wants a name of [a-zA-Z0-9][a-zA-Z0-9_-]{0,62}"],
    [{ data: { dataset: 'digits', normalize: 'max' } }, "data.normalize is 'max', wants one of standard, minmax, none"],
    [{ passes: [] }, 'passes is empty, wants at least one, or a preset, or a goal'],
    [{ preset: 'fast' }, 'preset and passes are both set, wants one of them: a preset is a list of passes'],
    [
      { preset: 'fast', passes: [], goal: {} },
      'preset and goal are both set, wants one of them: a preset is a list of passes',
    ],
    [{ preset: 'tiny', passes: [] }, "preset is 'tiny', wants one of compact, fast"],
    [{ passes: Array(11).fill(prune()) }, 'passes has 11 entries, wants at most 10'],
    [{ passes: [prune(), {}] }, 'passes[1] names no kind of pass'],
    [
      { passes: [{ quantizeStatic: { calibration: 'kl' } }] },
      "passes[0].quantize_static.calibration is 'kl', wants one of minmax, moving_average, percentile, entropy, mse",
    ],
    [
      { passes: [{ quantizeDynamic: { cpu: 'avx2' } }] },
      "passes[0].quantize_dynamic.cpu is 'avx2', wants one of here, vnni, x64, arm64",
    ],
    [
      { passes: [prune({ sparsity: 1 })] },
      'passes[0].prune_magnitude.sparsity is 1, wants more than 0 and less than 1',
    ],
    [{ passes: [prune({ scope: 'all' })] }, "passes[0].prune_magnitude.scope is 'all', wants one of global, layer"],
    [
      { passes: [prune({ layers: [{ sparsity: 0.5 }] })] },
      "passes[0].prune_magnitude.layers[0].match is '', wants a glob over names of weights or nodes",
    ],
    [
      { passes: [prune({ layers: [{ match: '*', sparsity: 1 }] })] },
      'passes[0].prune_magnitude.layers[0].sparsity is 1, wants at least 0 and less than 1',
    ],
    [
      { passes: [prune({ sparsity: 0, layers: [{ match: '*' }] })] },
      'passes[0].prune_magnitude.sparsity is 0, wants more than 0 and less than 1',
    ],
    [
      { passes: [prune({ layers: [{ match: '*', sparsity: 0.2 }], gradual: { initialSparsity: 0.3 } })] },
      'passes[0].prune_magnitude.gradual.initial_sparsity is 0.3, wants 0 to 0.2',
    ],
    [
      { passes: [prune({ gradual: { begin: 0.5, end: 0.4 } })] },
      'passes[0].prune_magnitude.gradual.end is 0.4, wants 0.5 to 1',
    ],
    [
      { passes: [prune({ sparsity: 'NaN' })] },
      'passes[0].prune_magnitude.sparsity is NaN, wants more than 0 and less than 1',
    ],
    [
      { passes: [prune({ finetuneLearningRate: -1 })] },
      'passes[0].prune_magnitude.finetune_learning_rate is -1, wants 0 to 1000',
    ],
    [{ goal: {} }, 'passes and goal are both set, wants one of them: a goal finds its own passes'],
    [{ passes: [], goal: { optimize: 'best' } }, "goal.optimize is 'best', wants one of fastest, smallest"],
    [{ passes: [], goal: { maxLatencyMs: -1 } }, 'goal.max_latency_ms is -1, wants 0 to 1000000000'],
    [
      { passes: [{ pruneStructured: {} }] },
      'passes[0].prune_structured has ratio 0 and multiply_adds 0, wants exactly one of them',
    ],
    [
      { passes: [{ pruneStructured: { ratio: 0.5, multiplyAdds: 0.5 } }] },
      'passes[0].prune_structured has ratio 0.5 and multiply_adds 0.5, wants exactly one of them',
    ],
    [
      { passes: [{ pruneStructured: { multiplyAdds: 1 } }] },
      'passes[0].prune_structured.multiply_adds is 1, wants more than 0 and less than 1',
    ],
    [
      { passes: [{ pruneStructured: { ratio: 0.5, importance: 'gradient' } }] },
      "passes[0].prune_structured.importance is 'gradient', wants one of magnitude, batch_norm, taylor",
    ],
    [
      { passes: [{ pruneStructured: { ratio: 0.5, importanceBatches: 5 } }] },
      'passes[0].prune_structured.importance_batches is 5, wants it left out: only taylor has any',
    ],
    [
      { passes: [{ pruneStructured: { ratio: 0.5, iterative: 4, finetuneEpochs: 3 } }] },
      'passes[0].prune_structured.iterative is 4, wants 1 to 3',
    ],
    [
      { passes: [{ pruneStructured: { ratio: 0.5, parentWeight: 1.5 } }] },
      'passes[0].prune_structured.parent_weight is 1.5, wants 0 to 1',
    ],
    [
      { passes: [{ pruneStructured: { ratio: 0.5, roundTo: 2000 } }] },
      'passes[0].prune_structured.round_to is 2000, wants 1 to 1024',
    ],
    [{ passes: [{ quantizeWeights: { bits: 3 } }] }, 'passes[0].quantize_weights.bits is 3, wants 2, 4 or 8'],
    [
      { passes: [{ quantizeWeights: { blockSize: 48 } }] },
      'passes[0].quantize_weights.block_size is 48, wants 16, 32, 64, 128, 256 in 4 bits',
    ],
    [
      { passes: [{ quantizeWeights: { bits: 2, blockSize: 256 } }] },
      'passes[0].quantize_weights.block_size is 256, wants 32, 64, 128 in 2 bits',
    ],
    [
      { passes: [{ quantizeWeights: { bits: 8, embeddings: true } }] },
      'passes[0].quantize_weights.embeddings is set, but bits is 8: ONNX Runtime looks rows up in 4 bits',
    ],
    [
      { passes: [{ quantizeStatic: { format: 'tensorrt' } }] },
      "passes[0].quantize_static.format is 'tensorrt', wants one of qdq, qoperator",
    ],
    [
      { passes: [{ quantizeSigns: { values: 'quinary' } }] },
      "passes[0].quantize_signs.values is 'quinary', wants one of ternary, binary",
    ],
    [
      { passes: [{ quantizeSigns: { form: 'bits' } }] },
      "passes[0].quantize_signs.form is 'bits', wants one of tables, blocks",
    ],
    [
      { passes: [{ quantizeSigns: {} }, prune()] },
      'passes[1] comes after quantize_signs, whose weights cannot be changed any more: put it before',
    ],
    [
      { passes: [{ quantizeWeights: { method: 'awq' } }] },
      "passes[0].quantize_weights.method is 'awq', wants one of nearest, hqq, gptq",
    ],
    [
      { passes: [{ quantizeWeights: { method: 'hqq', bits: 8 } }] },
      "passes[0].quantize_weights.bits is 8, but method 'hqq' wants 4: ONNX Runtime takes its zero points in no other",
    ],
    [
      { passes: [{ quantizeWeights: { method: 'hqq', symmetric: true } }] },
      "passes[0].quantize_weights.symmetric is set, but method 'hqq' searches zero points, which symmetric blocks do not have",
    ],
    [{ passes: [{ shareWeights: { clusters: 300 } }] }, 'passes[0].share_weights.clusters is 300, wants 2 to 256'],
    [
      { passes: [{ shareWeights: { start: 'random' } }] },
      "passes[0].share_weights.start is 'random', wants one of density, linear, kmeans++",
    ],
    [
      { passes: [{ shareWeights: {} }, prune()] },
      'passes[1] comes after share_weights, whose weights cannot be changed any more: put it before',
    ],
    [
      { passes: [distill({ student: [] })] },
      'passes[0].distill wants one of student, student_preset and thinned, got none',
    ],
    [
      { passes: [distill({ thinned: { every: 2 } })] },
      'passes[0].distill wants one of student, student_preset and thinned, got student and thinned',
    ],
    [
      { passes: [{ distill: { thinned: { ratio: 0.5, every: 2 } } }] },
      'passes[0].distill.thinned wants one of ratio, multiply_adds and every, got ratio and every',
    ],
    [{ passes: [{ distill: { thinned: { every: 1 } } }] }, 'passes[0].distill.thinned.every is 1, wants 2 to 1000'],
    [
      { passes: [{ distill: { thinned: { ratio: 1 } } }] },
      'passes[0].distill.thinned.ratio is 1, wants more than 0 and less than 1',
    ],
    [
      { passes: [distill({ teacher: { model: 'wise' } })] },
      "passes[0].distill.teacher.version is empty, wants a version number or a label's name",
    ],
    [{ passes: [distill({ mix: 2 })] }, 'passes[0].distill.mix is 2, wants 0 to 1'],
    [
      { passes: [quantize, prune()] },
      'passes[1] comes after quantize_static, whose weights cannot be changed any more: put it before',
    ],
    [
      { passes: [prune(), distill()] },
      'passes[1] begins a new network, so what the passes before it made would be lost: put distillation first',
    ],
    [{ passes: [{ simplify: { maxGrowth: 11 } }] }, 'passes[0].simplify.max_growth is 11, wants 0 to 10'],
    [{ maxAccuracyDrop: 1.5 }, 'max_accuracy_drop is 1.5, wants 0 to 1'],
    [{ maxDrop: -1 }, 'max_drop is -1, wants 0 to 1000000'],
    [{ maxDrop: 0.1, maxAccuracyDrop: 0.1 }, 'max_accuracy_drop and max_drop are both set, wants one of them'],
  ])('is refused with the field, what was got and what is wanted: %j', (fields, message) => {
    expect(() => planOf(fields)).toThrow(expect.objectContaining({ code: status.INVALID_ARGUMENT, message }));
  });

  it('is refused without a spec', () => expect(() => planOptimization(undefined)).toThrow('spec is missing'));
});
