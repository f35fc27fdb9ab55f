import { buildLayers } from './build-layers.js';
import { inferenceModel } from './inference-model.js';
import { presetLayers } from './presets.js';
import type { PresetFrame, PresetSpec } from './presets.js';
import { numbers, runnable } from './run-for-tests.js';

const gpt: PresetSpec = { kind: 'gpt', layers: 4, heads: 4, width: 128, dropout: 0, bias: false, tied: true };
const texts: PresetSpec = { kind: 'text_classifier', encoder: 'lstm', embedding: 16, units: 8, depth: 2, dropout: 0.1 };
const drawn = (stream: number, count: number) => numbers(count, { low: 0, high: 1, seed: stream + 1 });
const build = (
  preset: PresetSpec,
  { featureShape, outputs }: PresetFrame,
  tokens?: { vocabulary: number },
  random = drawn,
) =>
  buildLayers(presetLayers(preset, { featureShape, outputs }), {
    featureShape,
    ...(tokens ? { tokens } : {}),
    random,
    name: 'net',
  });

describe('presets', () => {
  // PyTorch: bench/peers/count_parameters.py
  it.each<[string, PresetSpec, PresetFrame, number]>([
    [
      'ResNet-18 for CIFAR-10',
      { kind: 'resnet', depth: 18, width: 64 },
      { featureShape: [3, 32, 32], outputs: 10 },
      11_173_962,
    ],
    ['nanoGPT on a CPU', gpt, { featureShape: [64], outputs: 65 }, 804_096],
    ['the same with biases', { ...gpt, bias: true }, { featureShape: [64], outputs: 65 }, 809_856],
  ])('%s has as many weights as in PyTorch', (_, preset, frame, parameters) => {
    const tokens = preset.kind === 'gpt' ? { vocabulary: frame.outputs } : undefined;
    const zeros = (_stream: number, count: number) => new Float32Array(count);
    expect(build(preset, frame, tokens, zeros).parameters).toBe(parameters);
  });

  it.each<[string, PresetSpec, number[]]>([
    ['mlp', { kind: 'mlp', hidden: [16, 8], activation: 'tanh', dropout: 0.1 }, [1, 8, 8]],
    ['cnn', { kind: 'cnn', filters: [4, 8], units: 16, dropout: 0.1, batchNorm: true }, [1, 8, 8]],
    ['resnet', { kind: 'resnet', depth: 10, width: 4 }, [3, 9, 9]],
    ['text_classifier', texts, [7]],
    ['text_classifier of a transformer', { ...texts, encoder: 'transformer' }, [7]],
  ])('%s fits the target', async (_, preset, featureShape) => {
    const tokens = preset.kind === 'text_classifier' ? { vocabulary: 20 } : undefined;
    const { forward } = build(preset, { featureShape, outputs: 3 }, tokens);
    const count = 2 * featureShape.reduce((a, b) => a * b);
    const data = tokens ? BigInt64Array.from({ length: count }, (_, i) => BigInt(i)) : numbers(count);
    const run = await runnable(inferenceModel(forward, new Map(), { softmax: true }));
    const { probabilities } = await run({ input: { dims: [2, ...featureShape], data } });
    expect(probabilities).toHaveLength(6);
    expect(probabilities!.reduce((a, b) => a + b)).toBeCloseTo(2, 5);
  });
});
