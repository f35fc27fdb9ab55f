/** Element-wise functions by the names the training spec gives them. */
export const activations = ['relu', 'leaky_relu', 'elu', 'sigmoid', 'tanh', 'gelu', 'silu', 'softplus'] as const;
export type Activation = (typeof activations)[number];

/** Height and width. */
export type Size2d = readonly [height: number, width: number];

/** Weights that begin normally distributed around 0, as GPT-2's do. */
export interface NormalStart {
  readonly deviation: number;
  /** Of the projections that end a residual branch; unset: `deviation`. */
  readonly residualDeviation?: number;
}

interface WithBias {
  /** Unset: true. */
  readonly bias?: boolean;
}

interface Recurrent {
  readonly units: number;
  /** A second pass from the end to the start; the two outputs lie side by side. */
  readonly bidirectional: boolean;
  /** [time, units] instead of the last state, [units]. */
  readonly sequences: boolean;
}

interface Attention extends WithBias {
  /** Must divide the width. */
  readonly heads: number;
  /** A place sees itself and what lies before it only. */
  readonly causal: boolean;
  /** Share of attention weights and of outputs zeroed while training. */
  readonly dropout: number;
  readonly start?: NormalStart;
}

/** What every kind of layer is told. Images are [channels, height, width], signals [channels, length], texts [time, width]. */
export interface LayerKinds {
  // on the last axis
  dense: WithBias & { readonly units: number; readonly activation?: Activation; readonly start?: NormalStart };
  layer_norm: WithBias & { readonly epsilon: number };
  /** Root mean square normalization (Zhang and Sennrich 2019). */
  rms_norm: { readonly epsilon: number };

  // on images
  conv2d: WithBias & {
    readonly filters: number;
    readonly kernel: Size2d;
    readonly stride: Size2d;
    /** `same`: ceil(size / stride) outputs, the odd zero at the end; `valid`: no padding. */
    readonly padding: 'same' | 'valid';
    readonly groups: number;
    readonly activation?: Activation;
  };
  /** Padding unset: `valid`. What is padded counts neither for a maximum nor for a mean. */
  max_pool2d: { readonly kernel: Size2d; readonly stride: Size2d; readonly padding?: 'same' | 'valid' };
  average_pool2d: { readonly kernel: Size2d; readonly stride: Size2d; readonly padding?: 'same' | 'valid' };

  // on signals
  conv1d: WithBias & {
    readonly filters: number;
    readonly kernel: number;
    readonly stride: number;
    /** `causal`: all zeros before the first element. */
    readonly padding: 'same' | 'valid' | 'causal';
    readonly groups: number;
    readonly dilation: number;
    readonly activation?: Activation;
  };
  max_pool1d: { readonly kernel: number; readonly stride: number };
  average_pool1d: { readonly kernel: number; readonly stride: number };

  // on channels, whatever follows them
  global_average_pool: object;
  global_max_pool: object;
  /** `momentum`: share of the old running statistics kept at each step. */
  batch_norm: { readonly momentum: number; readonly epsilon: number };
  /** Wu and He 2018. */
  group_norm: { readonly groups: number; readonly epsilon: number };
  instance_norm: { readonly epsilon: number };

  // on texts
  /** Tokens [time] to rows [time, width]; vocabulary 0: that of the dataset. `name`: for `tied_head`. */
  embedding: {
    readonly vocabulary: number;
    readonly width: number;
    readonly name?: string;
    readonly start?: NormalStart;
  };
  /** Adds a learned row per place. */
  position_embedding: { readonly start?: NormalStart };
  lstm: Recurrent;
  gru: Recurrent;
  multi_head_attention: Attention;
  /** Attention and two dense layers, each behind a layer normalization and beside a residual branch (pre-norm). */
  transformer_block: Attention & { readonly mlpRatio: number; readonly activation: Activation };
  pool_time: { readonly how: 'mean' | 'max' | 'last' };
  /** Logits by the table of an embedding; unset: the first one. */
  tied_head: { readonly embedding?: string };

  // on anything
  activation: { readonly function: Activation };
  dropout: { readonly rate: number };
  flatten: object;
  /** Sizes without the batch axis. */
  reshape: { readonly shape: readonly number[] };

  // of other layers
  /** x + layers(x); `project`: where shapes differ, x goes through a 1x1 convolution (or a dense layer). */
  residual: { readonly layers: readonly LayerSpec[]; readonly project: boolean; readonly activation?: Activation };
  /** A branch of no layers is the input itself. */
  parallel: { readonly branches: readonly (readonly LayerSpec[])[]; readonly merge: 'add' | 'concat' };
}

export type LayerKind = keyof LayerKinds;
export type LayerOf<K extends LayerKind> = { readonly kind: K } & LayerKinds[K];

/** One layer. */
export type LayerSpec = { [K in LayerKind]: LayerOf<K> }[LayerKind];
