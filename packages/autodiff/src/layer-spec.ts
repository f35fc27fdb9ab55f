/** Element-wise functions by the names the training spec gives them. */
export const activations = ['relu', 'leaky_relu', 'elu', 'sigmoid', 'tanh', 'gelu', 'silu', 'softplus'] as const;
export type Activation = (typeof activations)[number];

/** Height and width. */
export type Size2d = readonly [height: number, width: number];

/** One layer. Examples are [channels, height, width] for the 2-D layers; `dense` and `layer_norm` act on the last axis. */
export type LayerSpec =
  | { readonly kind: 'dense'; readonly units: number; readonly activation?: Activation }
  | {
      readonly kind: 'conv2d';
      readonly filters: number;
      readonly kernel: Size2d;
      readonly stride: Size2d;
      /** `same`: ceil(size / stride) outputs, the odd zero at the end; `valid`: no padding. */
      readonly padding: 'same' | 'valid';
      readonly groups: number;
      readonly activation?: Activation;
    }
  | { readonly kind: 'max_pool2d' | 'average_pool2d'; readonly kernel: Size2d; readonly stride: Size2d }
  | { readonly kind: 'global_average_pool' | 'flatten' }
  /** `momentum`: share of the old running statistics kept at each step. */
  | { readonly kind: 'batch_norm'; readonly momentum: number; readonly epsilon: number }
  | { readonly kind: 'layer_norm'; readonly epsilon: number }
  | { readonly kind: 'activation'; readonly function: Activation }
  | { readonly kind: 'dropout'; readonly rate: number }
  /** Sizes without the batch axis. */
  | { readonly kind: 'reshape'; readonly shape: readonly number[] };
