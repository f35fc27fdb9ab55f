import type { FeatureTarget } from './feature-losses.js';

/** What every kind of loss is told. Each is a mean over the batch, as PyTorch takes it. */
export interface LossKinds {
  /** Of class indices, the output's shape without its last axis. */
  cross_entropy: {
    /** A factor per class; the mean is over these. */
    readonly classWeights?: readonly number[];
    /** Share of the target that is spread over all classes (Szegedy et al. 2016). */
    readonly labelSmoothing?: number;
    /** Targets of this number count for nothing. */
    readonly ignoreIndex?: number;
  };
  /** Of logits and numbers in [0, 1] of the same shape. */
  binary_cross_entropy: { readonly positiveWeight?: number };
  mse: object;
  mae: object;
  /** Half the square up to `delta`, a line beyond (Huber 1964). */
  huber: { readonly delta: number };
}

export type LossKind = keyof LossKinds;
export type LossOf<K extends LossKind> = { readonly kind: K } & LossKinds[K];
export type LossSpec = { [K in LossKind]: LossOf<K> }[LossKind];

/** A loss's factor in a sum. */
export type LossTerm = LossSpec & { readonly weight?: number };

/** Adam's numbers (Kingma and Ba 2015). */
export interface AdamSpec {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

/** What every kind of optimizer is told. Weight decay is decoupled: w − rate · decay · w (Loshchilov and Hutter 2019). */
export interface OptimizerKinds {
  sgd: { readonly momentum: number; readonly nesterov: boolean };
  adam: AdamSpec & { readonly weightDecay: number };
  /** Tieleman and Hinton 2012, not centred. */
  rms_prop: { readonly decay: number; readonly epsilon: number; readonly momentum: number };
  /** Duchi et al. 2011. */
  adagrad: { readonly epsilon: number };
  /** Chen et al. 2023. */
  lion: { readonly beta1: number; readonly beta2: number; readonly weightDecay: number };
  /** Jordan et al. 2024: for the matrices of hidden layers; everything else by Adam, at `adamRate` times the rate. */
  muon: {
    readonly momentum: number;
    readonly weightDecay: number;
    readonly adam: AdamSpec;
    readonly adamRate: number;
  };
}

export type OptimizerKind = keyof OptimizerKinds;
export type OptimizerOf<K extends OptimizerKind> = { readonly kind: K } & OptimizerKinds[K];
export type OptimizerSpec = { [K in OptimizerKind]: OptimizerOf<K> }[OptimizerKind];

/** Weights that are treated in their own way. */
export interface ParameterGroup {
  /** Globs over names. A weight belongs to the first group that names it. */
  readonly weights: readonly string[];
  /** Factor on the learning rate; 0: they are not trained. */
  readonly learningRateScale: number;
  /** Unset: the optimizer's. */
  readonly weightDecay?: number;
}

export interface StepOptions {
  readonly batchSize: number;
  /** Sizes of an example, for axes that the graph leaves open. */
  readonly exampleShape?: readonly number[];
  /** A loss, or several of the same output and targets that are added up. */
  readonly loss: LossSpec | readonly LossTerm[];
  readonly optimizer: OptimizerSpec;
  readonly groups?: readonly ParameterGroup[];
  /** Weight decay acts on weights of two axes and more alone. */
  readonly decayMatricesOnly?: boolean;
  /** Each element of a gradient is cut to ± this; unset or 0: never. Comes before `clipNorm`. */
  readonly clipValue?: number;
  /** The gradients of all weights together are scaled down to this norm; unset or 0: never. */
  readonly clipNorm?: number;
  /** Gradients of this many batches are averaged into one update; unset or 1: of one. */
  readonly accumulate?: number;
  /** Share of the old in an exponential moving average of the weights; unset or 0: none is kept. */
  readonly ema?: number;
  /** mix · T² · KL(teacher ‖ student) + (1 − mix) · cross-entropy + features. Takes the cross-entropy loss only. */
  readonly distillation?: {
    readonly temperature: number;
    readonly mix: number;
    readonly features?: readonly FeatureTarget[];
  };
  /** Weights of two axes and more that are zero in `forward` stay zero: what pruning left. */
  readonly keepZeros?: boolean;
  /** Weights of which what is zero, or becomes it between two steps, stays it: what is pruned while training. */
  readonly pruned?: readonly string[];
  /** Nothing is trained: of each weight |w · ∂loss/∂w| is summed up over the steps, in its average's place. */
  readonly importance?: boolean;
  /**
   * The step is for ONNX Runtime on the CPU. Convolutions on small maps, and their gradients, are products with the columns of
   * their windows or tiles (Winograd) where it computes these faster, sums over rows are products with ones, large tables take
   * the rows that were read, and products may turn their operands around (com.microsoft.FusedMatMul). Unset: operations are
   * what they are called, one operator of the standard each, which is what GPUs are fast at.
   */
  readonly columns?: boolean;
}
