import { floatTensor, makeNode } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { buildLayers } from '../build-layers.js';
import { inferenceModel } from '../inference-model.js';
import type { LayerSpec } from '../layer-spec.js';
import { numbers, runnable } from '../run-for-tests.js';
import { trainOn } from '../train-for-tests.js';
import { fineTune } from './fine-tune.js';
import type { FineTuning } from './fine-tune.js';

const random = (stream: number, count: number) => numbers(count, { low: 0, high: 1, seed: stream + 1 });
const batch = 8;
const shape = [2, 4, 4];
const features = { dims: [batch, ...shape], data: numbers(batch * 32) };
const targets = { dims: [batch], data: BigInt64Array.from({ length: batch }, (_, i) => BigInt(i % 3)) };
const school = { features, targets, steps: 20, learningRate: 0.02 };

const pointwise: LayerSpec = { kind: 'conv2d', filters: 6, kernel: [1, 1], stride: [1, 1], padding: 'same', groups: 1 };
const layers: LayerSpec[] = [
  { ...pointwise, filters: 4, kernel: [3, 3] },
  { kind: 'batch_norm', momentum: 0.9, epsilon: 1e-5 },
  pointwise,
  { kind: 'flatten' },
  { kind: 'dense', units: 16, activation: 'relu' },
  { kind: 'dense', units: 3 },
];
const served = (model: Model, weights = new Map<string, Float32Array>()) =>
  inferenceModel(model, weights, { softmax: true });
const base = served(buildLayers(layers, { featureShape: shape, random, name: 'base' }).forward);
const tuned = (how: FineTuning, model = base) => fineTune(model, { ...how, exampleShape: shape, random });
const answersOf = async (model: Model) => (await (await runnable(model))({ input: features }))['probabilities']!;
const differs = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
const operators = ({ graph }: Model) => graph.nodes.map(({ opType }) => opType).sort();

describe('fine-tuning', () => {
  it('changes every weight and no statistic of a base, unless told otherwise', async () => {
    const { forward, plain, merged } = tuned({});
    const { weights, losses } = await trainOn(forward, school);
    expect([...weights.keys()].sort()).toEqual(
      [0, 2, 4, 5]
        .flatMap((i) => [`layer${i}.bias`, `layer${i}.weight`])
        .concat('layer1.bias', 'layer1.scale')
        .sort(),
    );
    expect(losses.at(-1)).toBeLessThan(losses[0]! / 2);
    const after = served(plain, merged(weights));
    expect(operators(after)).toEqual(operators(base));
    expect(after.graph.initializers.get('layer1.running_mean')).toEqual(
      base.graph.initializers.get('layer1.running_mean'),
    );
  });

  it('leaves frozen weights as they are', async () => {
    const { forward, plain, merged, parameters } = tuned({
      freeze: ['layer0.*', 'layer2*', 'layer1.*', 'layer4.weight'],
    });
    const { weights } = await trainOn(forward, school);
    expect([...weights.keys()]).toEqual(['layer4.bias', 'layer5.weight', 'layer5.bias']);
    expect(parameters).toBe(16 + 48 + 3);
    const after = served(plain, merged(weights));
    for (const name of ['layer0.weight', 'layer4.weight']) {
      expect(after.graph.initializers.get(name)).toEqual(base.graph.initializers.get(name));
    }
    expect(after.graph.initializers.get('layer5.weight')).not.toEqual(base.graph.initializers.get('layer5.weight'));
  });

  it('lets batch normalization gather statistics again, where asked to', async () => {
    const { forward, plain, merged } = tuned({ trainStatistics: true, freeze: ['layer0*'] });
    const { weights } = await trainOn(forward, { ...school, steps: 3 });
    const moved = weights.get('layer1.running_mean')!;
    expect(Math.max(...moved.map(Math.abs))).toBeGreaterThan(0.001);
    const { graph } = served(plain, merged(weights));
    expect(graph.initializers.get('layer1.running_mean')).toEqual(floatTensor('layer1.running_mean', [4], moved));
    expect(graph.nodes.find(({ opType }) => opType === 'BatchNormalization')!.outputs).toHaveLength(1);
  });

  it.each<[string, string | undefined, number]>([
    ['the last product', undefined, 16],
    ['a value it names', 'layer3', 96],
  ])('puts new layers behind %s', async (_, after, width) => {
    const head: LayerSpec[] = [
      { kind: 'dense', units: 5, activation: 'gelu' },
      { kind: 'dropout', rate: 0.5 },
      { kind: 'dense', units: 4 },
    ];
    const {
      forward,
      plain,
      layers: news,
      merged,
    } = tuned({ head: { ...(after ? { after } : {}), layers: head }, freeze: ['layer*'] });
    expect(news.map(({ parameters }) => parameters)).toEqual([5 * width + 5, 0, 24]);
    const { weights, losses } = await trainOn(forward, { ...school, steps: 60 });
    expect([...weights.keys()]).toEqual(['head0.weight', 'head0.bias', 'head2.weight', 'head2.bias']);
    expect(losses.at(-1)).toBeLessThan(0.6 * losses[0]!);
    const answers = await answersOf(served(plain, merged(weights)));
    expect(answers).toHaveLength(batch * 4);
    // once more, on what has a head already
    const again = tuned({ head: { layers: [{ kind: 'dense', units: 2 }] } }, served(plain));
    expect(await answersOf(served(again.plain))).toHaveLength(batch * 2);
    expect(again.plain.graph.initializers.get('head0.weight')!.dims).toEqual([width, 5]);
  });

  it('trains adapters alone and merges them into the weights they adapt', async () => {
    const { forward, plain, merged, parameters } = tuned({
      lora: { rank: 2, alpha: 4, targets: ['layer2.weight', 'layer4.*', 'layer5.*'] },
    });
    expect(parameters).toBe(2 * (4 + 6) + 2 * (96 + 16) + 2 * (16 + 3));
    expect(differs(await answersOf(served(forward)), await answersOf(base))).toBe(0);
    const { weights, losses } = await trainOn(forward, { ...school, steps: 60 });
    expect([...weights.keys()].every((name) => name.includes('.lora_'))).toBe(true);
    expect(losses.at(-1)).toBeLessThan(0.6 * losses[0]!);
    const after = served(plain, merged(weights));
    expect(operators(after)).toEqual(operators(base));
    expect([...after.graph.initializers.keys()]).toEqual([...base.graph.initializers.keys()]);
    expect(differs(await answersOf(after), await answersOf(served(forward, weights)))).toBeLessThan(1e-5);
    expect(differs(await answersOf(after), await answersOf(base))).toBeGreaterThan(0.01);
  });

  it('adapts turned and scaled Gemms, and weights that two nodes read', async () => {
    const square = floatTensor('w', [4, 4], numbers(16));
    const model: Model = {
      ...base,
      graph: {
        ...base.graph,
        nodes: [
          makeNode('Gemm', ['input', 'w'], ['h'], {
            transB: { kind: 'int', value: 1 },
            alpha: { kind: 'float', value: 0.5 },
          }),
          makeNode('Gemm', ['h', 'w'], ['logits'], { transB: { kind: 'int', value: 1 } }),
        ],
        initializers: new Map([['w', square]]),
        inputs: [{ name: 'input', dataType: 'float', shape: ['batch', 4] }],
        outputs: [{ name: 'logits', dataType: 'float', shape: ['batch', 4] }],
      },
    };
    const { forward, plain, merged } = fineTune(model, {
      lora: { rank: 4, alpha: 4, targets: [] },
      exampleShape: [4],
      random,
    });
    const input = { dims: [2, 4], data: numbers(8) };
    const { weights } = await trainOn(forward, {
      features: input,
      targets: { dims: [2], data: BigInt64Array.of(1n, 2n) },
      steps: 5,
      learningRate: 0.05,
    });
    // two nodes of one weight share its adapter; their factors differ, so merged and beside only agree where both are right
    const [one, other] = await Promise.all(
      [served(plain, merged(weights)), served(forward, weights)].map(
        async (of) => (await (await runnable(of))({ input }))['probabilities']!,
      ),
    );
    expect(differs(one!, other!)).toBeLessThan(1e-5);
  });

  it.each<[string, FineTuning, string]>([
    [
      'a glob that fits nothing',
      { freeze: ['layer0*', 'stem.*'] },
      "base.freeze[1] is 'stem.*', which fits no weight: there are layer0.weight",
    ],
    [
      'a target that cannot be adapted',
      { lora: { rank: 2, alpha: 4, targets: ['layer0.*'] } },
      "base.lora.targets[0] is 'layer0.*', which fits no weight",
    ],
    [
      'a value that is not there',
      { head: { after: 'nowhere', layers: [{ kind: 'flatten' }] } },
      "base.head.after is 'nowhere'",
    ],
    [
      'a head that does not fit',
      { head: { layers: [pointwise] } },
      'base.head.layers[0] (conv2d) wants [channels, height, width] per example, got [16]',
    ],
  ])('refuses %s by the field', (_, how, message) => expect(() => tuned(how)).toThrow(message));

  it('says which operator set a head needs', () => {
    const old = { ...base, opsets: new Map([['', 13]]) };
    const head = { layers: [{ kind: 'layer_norm', epsilon: 1e-5 } as const] };
    expect(() => tuned({ head }, old)).toThrow("LayerNormalization of 'head0' wants operator set 17, the base has 13");
  });
});
