import { floatsOf, signatureOf } from '@modelmill/onnx';
import { buildLayers } from '../build-layers.js';
import { inferenceModel } from '../inference-model.js';
import type { LayerSpec } from '../layer-spec.js';
import { numbers, runnable } from '../run-for-tests.js';
import type { Feeds } from '../run-for-tests.js';

const random = (stream: number, count: number) => numbers(count, { low: 0, high: 1, seed: stream + 1 });
const build = (layers: readonly LayerSpec[], featureShape: readonly number[], tokens?: { vocabulary: number }) =>
  buildLayers(layers, { featureShape, random, name: 'net', ...(tokens ? { tokens } : {}) });
const run = async ({ forward }: ReturnType<typeof build>, input: Feeds[string]) =>
  (await (await runnable(inferenceModel(forward, new Map(), { softmax: false })))({ input }))['output']!;
const floats = (...dims: number[]) => ({
  dims,
  data: numbers(
    dims.reduce((a, b) => a * b),
    { low: -2, high: 2 },
  ),
});
const tokens = (...values: number[]) => ({ dims: [1, values.length], data: BigInt64Array.from(values, BigInt) });

const rate = { dropout: 0 };
const conv1d = { kind: 'conv1d', filters: 4, kernel: 3, stride: 1, groups: 1, dilation: 1, padding: 'same' } as const;
const conv2d = { kind: 'conv2d', filters: 8, kernel: [3, 3], stride: [2, 2], padding: 'same', groups: 1 } as const;
const block = { kind: 'transformer_block', heads: 2, causal: true, mlpRatio: 4, activation: 'gelu', ...rate } as const;
const recurrent = { units: 5, bidirectional: false, sequences: false };
const time = 6;
const width = 4;

describe('layers on signals, texts and images', () => {
  it.each<[string, LayerSpec, number[], number[], number]>([
    ['conv1d', conv1d, [3, 9], [4, 9], 40],
    ['conv1d, strided', { ...conv1d, stride: 2, bias: false }, [3, 9], [4, 5], 36],
    ['conv1d, causal and dilated', { ...conv1d, padding: 'causal', dilation: 2 }, [3, 9], [4, 9], 40],
    ['max_pool1d', { kind: 'max_pool1d', kernel: 2, stride: 2 }, [3, 9], [3, 4], 0],
    ['average_pool1d', { kind: 'average_pool1d', kernel: 3, stride: 1 }, [3, 9], [3, 7], 0],
    [
      'max_pool2d, padded',
      { kind: 'max_pool2d', kernel: [3, 3], stride: [2, 2], padding: 'same' },
      [3, 7, 7],
      [3, 4, 4],
      0,
    ],
    ['global_max_pool', { kind: 'global_max_pool' }, [3, 9], [3], 0],
    ['group_norm', { kind: 'group_norm', groups: 2, epsilon: 1e-5 }, [4, 3, 3], [4, 3, 3], 8],
    ['instance_norm', { kind: 'instance_norm', epsilon: 1e-5 }, [4, 9], [4, 9], 8],
    ['rms_norm', { kind: 'rms_norm', epsilon: 1e-5 }, [time, width], [time, width], width],
    [
      'layer_norm without bias',
      { kind: 'layer_norm', epsilon: 1e-5, bias: false },
      [time, width],
      [time, width],
      width,
    ],
    ['dense without bias', { kind: 'dense', units: 3, bias: false }, [width], [3], 12],
    ['lstm', { kind: 'lstm', ...recurrent }, [time, width], [5], 4 * (5 * 4 + 5 * 5 + 10)],
    ['lstm, both ways', { kind: 'lstm', ...recurrent, bidirectional: true }, [time, width], [10], 440],
    ['lstm, every step', { kind: 'lstm', ...recurrent, sequences: true }, [time, width], [time, 5], 220],
    ['gru', { kind: 'gru', ...recurrent }, [time, width], [5], 165],
    [
      'gru, both ways, every step',
      { kind: 'gru', units: 5, bidirectional: true, sequences: true },
      [time, width],
      [time, 10],
      330,
    ],
    [
      'multi_head_attention',
      { kind: 'multi_head_attention', heads: 2, causal: false, ...rate },
      [time, width],
      [time, width],
      80,
    ],
    ['transformer_block', block, [time, width], [time, width], 12 * 16 + 13 * 4],
    ['transformer_block without bias', { ...block, bias: false }, [time, width], [time, width], 12 * 16 + 8],
    ['position_embedding', { kind: 'position_embedding' }, [time, width], [time, width], time * width],
    ['pool_time', { kind: 'pool_time', how: 'max' }, [time, width], [width], 0],
    [
      'residual',
      { kind: 'residual', layers: [{ kind: 'dense', units: width }], project: false },
      [time, width],
      [time, width],
      20,
    ],
    [
      'residual, projected',
      { kind: 'residual', layers: [conv2d], project: true, activation: 'relu' },
      [2, 7, 7],
      [8, 4, 4],
      152 + 32,
    ],
    [
      'residual of signals',
      { kind: 'residual', layers: [{ ...conv1d, stride: 2 }], project: true },
      [3, 9],
      [4, 5],
      40 + 20,
    ],
    [
      'parallel',
      { kind: 'parallel', branches: [[], [{ kind: 'dense', units: 3 }]], merge: 'concat' },
      [width],
      [7],
      15,
    ],
    [
      'parallel images',
      { kind: 'parallel', branches: [[conv2d], [conv2d]], merge: 'concat' },
      [2, 7, 7],
      [16, 4, 4],
      304,
    ],
    [
      'parallel sums',
      { kind: 'parallel', branches: [[conv2d], [conv2d], [conv2d]], merge: 'add' },
      [2, 7, 7],
      [8, 4, 4],
      456,
    ],
  ])(
    '%s gives the shape and has the weights it tells, at any batch size',
    async (_, layer, features, shape, parameters) => {
      const built = build([layer], features);
      expect(built.layers[0]).toMatchObject({ outputShape: shape, parameters });
      for (const batch of [1, 3]) {
        expect(await run(built, floats(batch, ...features))).toHaveLength(batch * shape.reduce((a, b) => a * b));
      }
    },
  );

  it('normalizes each group of channels of each example', async () => {
    const output = await run(build([{ kind: 'group_norm', groups: 2, epsilon: 0 }], [4, 5]), floats(2, 4, 5));
    for (let group = 0; group < 4; group++) {
      const values = [...output.subarray(group * 10, group * 10 + 10)];
      expect(values.reduce((a, b) => a + b)).toBeCloseTo(0, 4);
      expect(values.reduce((a, b) => a + b * b, 0) / 10).toBeCloseTo(1, 4);
    }
  });

  it('scales rows to a root mean square of 1', async () => {
    const output = await run(build([{ kind: 'rms_norm', epsilon: 0 }], [3, 8]), floats(1, 3, 8));
    expect(output.subarray(8, 16).reduce((a, b) => a + b * b, 0) / 8).toBeCloseTo(1, 5);
  });

  it.each<['mean' | 'max' | 'last', number[]]>([
    ['mean', [3, 4]],
    ['max', [5, 6]],
    ['last', [5, 2]],
  ])('pools time by its %s', async (how, wanted) => {
    const input = { dims: [1, 3, 2], data: Float32Array.of(1, 4, 3, 6, 5, 2) };
    expect([...(await run(build([{ kind: 'pool_time', how }], [3, 2]), input))]).toEqual(wanted);
  });

  it('numbers the layers inside a layer', () => {
    const residual: LayerSpec = {
      kind: 'residual',
      layers: [conv2d, { kind: 'parallel', branches: [[], [conv2d]], merge: 'concat' }],
      project: true,
    };
    const { layers } = build(
      [
        { kind: 'activation', function: 'relu' },
        { ...residual, layers: [conv2d] },
      ],
      [2, 7, 7],
    );
    expect(layers.map(({ name, parameters }) => [name, parameters])).toEqual([
      ['0: activation', 0],
      ['1: residual', 184],
      ['1.0: conv2d', 152],
    ]);
    const { forward } = build(
      [{ ...residual, layers: [{ kind: 'residual', layers: [conv2d], project: true }] }],
      [2, 7, 7],
    );
    expect(forward.graph.initializers.has('layer0.0.0.weight')).toBe(true);
  });
});

describe('networks on tokens', () => {
  const gpt: LayerSpec[] = [
    { kind: 'embedding', vocabulary: 0, width: 8, name: 'tokens' },
    { kind: 'position_embedding' },
    block,
    { kind: 'layer_norm', epsilon: 1e-5, bias: false },
    { kind: 'tied_head', embedding: 'tokens' },
  ];

  it('take int64 and any length up to the context, where layers do', () => {
    const { forward, parameters } = build(gpt, [time], { vocabulary: 11 });
    expect(signatureOf(inferenceModel(forward, new Map(), { softmax: true }))).toEqual({
      inputs: [{ name: 'input', datatype: 'INT64', shape: [-1, -1] }],
      outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [-1, -1, 11] }],
    });
    // the head has no weights of its own
    expect(parameters).toBe(11 * 8 + time * 8 + 12 * 64 + 13 * 8 + 8);
    const flat = build([...gpt.slice(0, 2), { kind: 'flatten' }, { kind: 'dense', units: 2 }], [time], {
      vocabulary: 11,
    });
    expect(flat.forward.graph.inputs[0]!.shape).toEqual(['batch', time]);
  });

  it('see what lies before a place and nothing after it, if causal', async () => {
    const built = build(gpt, [time], { vocabulary: 11 });
    const whole = await run(built, tokens(1, 2, 3, 4, 5, 6));
    const other = await run(built, tokens(1, 2, 3, 9, 9, 9));
    const short = await run(built, tokens(1, 2, 3));
    const early = 3 * 11;
    for (let i = 0; i < early; i++) {
      expect(other[i]).toBeCloseTo(whole[i]!, 5);
      expect(short[i]).toBeCloseTo(whole[i]!, 5);
    }
    expect(Math.abs(other[early]! - whole[early]!)).toBeGreaterThan(1e-3);
    const changed = await run(built, tokens(7, 2, 3));
    expect(Math.abs(changed[early - 1]! - whole[early - 1]!)).toBeGreaterThan(1e-4);
  });

  it('take floats as tokens, where the dataset has no text', async () => {
    const built = build([{ kind: 'embedding', vocabulary: 11, width: 2 }], [3]);
    const output = await run(built, { dims: [1, 3], data: Float32Array.of(4, 0, 4) });
    const table = floatsOf(built.forward.graph.initializers.get('layer0.table')!);
    expect([...output]).toEqual([...table.subarray(8, 10), ...table.subarray(0, 2), ...table.subarray(8, 10)]);
  });

  it('begin as GPT-2 does where they are told to', () => {
    const start = { deviation: 0.02, residualDeviation: 0.005 };
    const { forward } = build([{ ...block, start }], [64, 64]);
    const deviation = (name: string) => {
      const values = floatsOf(forward.graph.initializers.get(name)!);
      return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    };
    expect(deviation('layer0.attention.qkv.weight')).toBeCloseTo(0.02, 3);
    expect(deviation('layer0.mlp.projection.weight')).toBeCloseTo(0.005, 3);
    expect(deviation('layer0.norm1.scale')).toBe(1);
  });

  it.each<[string, LayerSpec[], string]>([
    ['an embedding of floats', [gpt[1]!], 'layers[0] (position_embedding) wants [time, width] per example, got [6]'],
    ['no vocabulary', [gpt[0]!], 'layers[0] (embedding) names no vocabulary'],
    [
      'heads',
      [{ kind: 'embedding', vocabulary: 5, width: 9 }, block],
      'layers[1] (transformer_block) has 2 heads, wants a divisor of its width of 9',
    ],
    ['a head alone', [{ kind: 'tied_head' }], 'layers[0] (tied_head) wants an embedding before it, got none'],
    [
      'a residual of two shapes',
      [{ kind: 'residual', layers: [{ kind: 'dense', units: 3 }], project: false }],
      'layers[0] (residual) wants one shape before and after its layers, or project; got [6] before and [3] after',
    ],
    [
      'a layer inside',
      [{ kind: 'parallel', branches: [[], [{ kind: 'dense', units: 3 }, conv1d]], merge: 'add' }],
      'layers[0] (parallel).branches[1].layers[1] (conv1d) wants [channels, length] per example, got [3]',
    ],
    [
      'branches that differ',
      [{ kind: 'parallel', branches: [[], [{ kind: 'dense', units: 3 }]], merge: 'add' }],
      'layers[0] (parallel) cannot add [6] and [3]',
    ],
  ])('refuse %s and say where', (_, layers, message) => expect(() => build(layers, [time])).toThrow(message));
});
