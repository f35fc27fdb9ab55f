import { buildLayers, presetLayers } from '@modelmill/autodiff';
import type { BuiltModel, LayerSpec, StepOptions } from '@modelmill/autodiff';
import { counterRandom } from '@modelmill/data';

/** A network whose training step is raced against PyTorch's. bench/peers/torch_train.py has the same. */
export interface Race {
  readonly words: string;
  readonly layers: readonly LayerSpec[];
  readonly batchSize: number;
  readonly exampleShape: readonly number[];
  /** Examples are tokens of so many kinds; undefined: numbers. */
  readonly vocabulary?: number;
  readonly classes: number;
  /** Whether every place of an example has a target. */
  readonly targetPerPlace?: boolean;
  readonly optimizer?: StepOptions['optimizer'];
  readonly clipNorm?: number;
  /** Of a round: about a second's. */
  readonly steps: number;
}

const pool: LayerSpec = { kind: 'max_pool2d', kernel: [2, 2], stride: [2, 2] };
const flatten: LayerSpec = { kind: 'flatten' };
const dense = (units: number, activation?: 'relu'): LayerSpec => ({
  kind: 'dense',
  units,
  ...(activation ? { activation } : {}),
});
const conv = (filters: number, padding: 'same' | 'valid' = 'same'): LayerSpec => ({
  kind: 'conv2d',
  filters,
  kernel: [3, 3],
  stride: [1, 1],
  padding,
  groups: 1,
  activation: 'relu',
});
const image = (size: number): LayerSpec => ({ kind: 'reshape', shape: [1, size, size] });
const tokens = { exampleShape: [64] };

export const races = {
  digits: {
    words: 'digits CNN, batch 64',
    layers: [image(8), conv(32), conv(32), pool, conv(64), pool, flatten, dense(128, 'relu'), dense(10)],
    batchSize: 64,
    exampleShape: [64],
    classes: 10,
    steps: 110,
  },
  mlp: {
    words: 'MLP 784-512-512-10, batch 128',
    layers: [dense(512, 'relu'), dense(512, 'relu'), dense(10)],
    batchSize: 128,
    exampleShape: [784],
    classes: 10,
    steps: 150,
  },
  cnn: {
    words: 'CNN Conv32-Conv64-pool-128-10, 128 images of 28x28',
    layers: [image(28), conv(32, 'valid'), conv(64, 'valid'), pool, flatten, dense(128, 'relu'), dense(10)],
    batchSize: 128,
    exampleShape: [784],
    classes: 10,
    steps: 10,
  },
  gpt: {
    words: "nanoGPT's CPU configuration, 12 windows of 64",
    layers: presetLayers(
      { kind: 'gpt', layers: 4, heads: 4, width: 128, dropout: 0, bias: false, tied: true },
      { featureShape: [64], outputs: 65 },
    ),
    batchSize: 12,
    ...tokens,
    vocabulary: 65,
    classes: 65,
    targetPerPlace: true,
    optimizer: { kind: 'adam', beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 },
    clipNorm: 1,
    steps: 25,
  },
  lstm: {
    words: 'LSTM of 128 over 32 texts of 64 tokens',
    layers: [
      { kind: 'embedding', vocabulary: 10_000, width: 128 },
      { kind: 'lstm', units: 128, bidirectional: false, sequences: false },
      dense(2),
    ],
    batchSize: 32,
    ...tokens,
    vocabulary: 10_000,
    classes: 2,
    steps: 50,
  },
  resnet: {
    words: 'ResNet-18, 32 images of 32x32',
    layers: presetLayers({ kind: 'resnet', depth: 18, width: 64 }, { featureShape: [3, 32, 32], outputs: 10 }),
    batchSize: 32,
    exampleShape: [3, 32, 32],
    classes: 10,
    steps: 3,
  },
} as const satisfies Record<string, Race>;

export type RaceName = keyof typeof races;

export const buildRace = (name: RaceName): BuiltModel => {
  const { layers, exampleShape, vocabulary }: Race = races[name];
  return buildLayers(layers, {
    featureShape: exampleShape,
    ...(vocabulary === undefined ? {} : { tokens: { vocabulary } }),
    random: (stream, count) => counterRandom(1n, stream).uniform(0, count),
    name,
  });
};
