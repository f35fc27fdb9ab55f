import type { Activation, LayerSpec, Size2d } from './layer-spec.js';

/** A network by name; its sizes. */
export type PresetSpec =
  | {
      readonly kind: 'mlp';
      readonly hidden: readonly number[];
      readonly activation: Activation;
      readonly dropout: number;
    }
  | {
      readonly kind: 'cnn';
      /** Channels of each block of two convolutions and a pool. */
      readonly filters: readonly number[];
      readonly units: number;
      readonly dropout: number;
      readonly batchNorm: boolean;
    }
  | { readonly kind: 'resnet'; readonly depth: 10 | 18; readonly width: number }
  | {
      readonly kind: 'text_classifier';
      readonly encoder: 'lstm' | 'transformer';
      readonly embedding: number;
      readonly units: number;
      readonly depth: number;
      readonly dropout: number;
    }
  | {
      readonly kind: 'gpt';
      readonly layers: number;
      readonly heads: number;
      readonly width: number;
      readonly dropout: number;
      readonly bias: boolean;
      readonly tied: boolean;
    };

type PresetOf<K extends PresetSpec['kind']> = Extract<PresetSpec, { kind: K }>;

/** What a preset must fit. */
export interface PresetFrame {
  /** Sizes of one example. */
  readonly featureShape: readonly number[];
  /** Classes, or 1 for a number; of a gpt, tokens. */
  readonly outputs: number;
}

const presets: { readonly [K in PresetSpec['kind']]: (preset: PresetOf<K>, frame: PresetFrame) => LayerSpec[] } = {
  mlp: ({ hidden, activation, dropout }, { featureShape, outputs }) => [
    ...(featureShape.length === 1 ? [] : [flatten]),
    ...hidden.flatMap((units): LayerSpec[] => [{ kind: 'dense', units, activation }, ...dropped(dropout)]),
    { kind: 'dense', units: outputs },
  ],

  cnn: ({ filters, units, dropout, batchNorm }, { outputs }) => [
    ...filters.flatMap((count) => [
      ...convolution(count, batchNorm),
      ...convolution(count, batchNorm),
      { kind: 'max_pool2d', kernel: [2, 2], stride: [2, 2] } as const,
    ]),
    flatten,
    { kind: 'dense', units, activation: 'relu' },
    ...dropped(dropout),
    { kind: 'dense', units: outputs },
  ],

  resnet: ({ depth, width }, { outputs }) => [
    ...convolution(width, true),
    ...[1, 2, 4, 8].flatMap((factor, stage) =>
      Array.from({ length: depth === 18 ? 2 : 1 }, (_, block) =>
        basicBlock(width * factor, stage > 0 && block === 0 ? 2 : 1),
      ),
    ),
    { kind: 'global_average_pool' },
    { kind: 'dense', units: outputs },
  ],

  text_classifier: (preset, { outputs }) => [
    { kind: 'embedding', vocabulary: 0, width: preset.embedding },
    ...(preset.encoder === 'lstm' ? lstmEncoder(preset) : transformerEncoder(preset)),
    ...dropped(preset.dropout),
    { kind: 'dense', units: outputs },
  ],

  gpt: ({ layers, heads, width, dropout, bias, tied }, { outputs }) => {
    // Radford et al. 2019, in nanoGPT's words
    const start = { deviation: 0.02, residualDeviation: 0.02 / Math.sqrt(2 * layers) };
    return [
      { kind: 'embedding', vocabulary: outputs, width, name: 'tokens', start },
      { kind: 'position_embedding', start },
      ...dropped(dropout),
      ...Array.from({ length: layers }, () => block({ heads, dropout, bias, causal: true, start })),
      { kind: 'layer_norm', epsilon: 1e-5, bias },
      tied ? { kind: 'tied_head', embedding: 'tokens' } : { kind: 'dense', units: outputs, bias: false, start },
    ];
  },
};

/** The layers of a preset. */
export function presetLayers<K extends PresetSpec['kind']>(preset: PresetOf<K>, frame: PresetFrame): LayerSpec[] {
  const expand: (preset: PresetOf<K>, frame: PresetFrame) => LayerSpec[] = presets[preset.kind as K];
  return expand(preset, frame);
}

const flatten: LayerSpec = { kind: 'flatten' };
const relu: LayerSpec = { kind: 'activation', function: 'relu' };
const batchNorm: LayerSpec = { kind: 'batch_norm', momentum: 0.9, epsilon: 1e-5 };

const dropped = (rate: number): LayerSpec[] => (rate === 0 ? [] : [{ kind: 'dropout', rate }]);

/** 3x3, then a batch normalization where it is wanted, then a rectifier. */
function convolution(filters: number, normalized: boolean, stride = 1): LayerSpec[] {
  const sizes = { kernel: [3, 3] as Size2d, stride: [stride, stride] as Size2d, padding: 'same', groups: 1 } as const;
  return [
    { kind: 'conv2d', filters, ...sizes, ...(normalized ? { bias: false } : {}) },
    ...(normalized ? [batchNorm] : []),
    relu,
  ];
}

/** He et al. 2016, figure 2. */
const basicBlock = (filters: number, stride: number): LayerSpec => ({
  kind: 'residual',
  layers: [...convolution(filters, true, stride), ...convolution(filters, true).slice(0, -1)],
  project: true,
  activation: 'relu',
});

type Block = Extract<LayerSpec, { kind: 'transformer_block' }>;

const block = (options: Pick<Block, 'heads' | 'dropout' | 'bias' | 'causal' | 'start'>): Block => ({
  kind: 'transformer_block',
  mlpRatio: 4,
  activation: 'gelu',
  ...options,
});

const lstmEncoder = ({ units, depth, dropout }: PresetOf<'text_classifier'>): LayerSpec[] =>
  Array.from({ length: depth }, (_, i) => i === depth - 1).flatMap((last): LayerSpec[] => [
    { kind: 'lstm', units, bidirectional: false, sequences: !last },
    ...(last ? [] : dropped(dropout)),
  ]);

function transformerEncoder({ embedding, units, depth, dropout }: PresetOf<'text_classifier'>): LayerSpec[] {
  const heads = [4, 2, 1].find((count) => units % count === 0) ?? 1;
  return [
    ...(embedding === units ? [] : [{ kind: 'dense', units } as const]),
    { kind: 'position_embedding' },
    ...Array.from({ length: depth }, () => block({ heads, dropout, bias: true, causal: false })),
    { kind: 'layer_norm', epsilon: 1e-5 },
    { kind: 'pool_time', how: 'mean' },
  ];
}
