import { buildLayers, inferenceModel, presetLayers } from '@modelmill/autodiff';
import type { LayerSpec } from '@modelmill/autodiff';
import { counterRandom } from '@modelmill/data';
import { writeOnnx } from '@modelmill/onnx';
import type { Row } from './stage.js';

/** A network whose executions take the processor's time. */
export interface HeavyNetwork {
  readonly words: string;
  readonly layers: readonly LayerSpec[];
  readonly shape: readonly number[];
  /** Of a round: about two seconds'. */
  readonly rows: number;
}

const resnet = (size: number) =>
  presetLayers({ kind: 'resnet', depth: 18, width: 64 }, { featureShape: [3, size, size], outputs: 10 });

/** Of a small vocabulary. */
const encoder = (depth: number, width: number): readonly LayerSpec[] => [
  { kind: 'embedding', vocabulary: 1000, width },
  ...presetLayers(
    { kind: 'text_classifier', encoder: 'transformer', embedding: width, units: width, depth, dropout: 0 },
    { featureShape: [128], outputs: 10 },
  ).slice(1),
];

export const heavyNetworks: Readonly<Record<string, HeavyNetwork>> = {
  'mlp-8x1024': {
    words: 'MLP 8x1024',
    layers: [...Array.from({ length: 8 }, () => ({ kind: 'dense', units: 1024, activation: 'relu' }) as const)],
    shape: [1024],
    rows: 12_800,
  },
  'resnet-18': { words: 'ResNet-18, images of 32x32', layers: resnet(32), shape: [3, 32, 32], rows: 1280 },
  'resnet-18-64': { words: 'ResNet-18, images of 64x64', layers: resnet(64), shape: [3, 64, 64], rows: 384 },
  // Wang et al. 2020
  'minilm-l12': { words: 'MiniLM-L12, 128 tokens', layers: encoder(12, 384), shape: [128], rows: 128 },
  // Devlin et al. 2018
  'bert-base': { words: 'BERT-base, 128 tokens', layers: encoder(12, 768), shape: [128], rows: 64 },
};

/** Its file, with random weights, and one row to ask it with. */
export function heavyModel(name: string): { model: Uint8Array; row: Row } {
  const { layers, shape } = heavyNetworks[name]!;
  const built = buildLayers(layers, {
    featureShape: shape,
    random: (stream, count) => counterRandom(1n, stream).uniform(0, count),
    name,
  });
  const count = shape.reduce((product, size) => product * size, 1);
  const data = Float32Array.from({ length: count }, (_, i) => (i % 17) / 17);
  return {
    model: writeOnnx(inferenceModel(built.forward, new Map(), { softmax: false })),
    row: { model: name, shape: [1, ...shape], data },
  };
}
