import type { Model } from '@modelmill/onnx';

export type LossSpec = { readonly kind: 'cross_entropy' } | { readonly kind: 'mse' };

export type OptimizerSpec =
  | { readonly kind: 'sgd'; readonly momentum: number; readonly nesterov: boolean }
  | {
      readonly kind: 'adam';
      readonly beta1: number;
      readonly beta2: number;
      readonly epsilon: number;
      /** Decoupled (AdamW); 0: none. */
      readonly weightDecay: number;
    };

export interface StepOptions {
  readonly batchSize: number;
  readonly loss: LossSpec;
  readonly optimizer: OptimizerSpec;
  /** The gradients of all weights together are scaled down to this norm; unset or 0: never. */
  readonly clipNorm?: number;
  /** mix · T² · KL(teacher ‖ student) + (1 − mix) · cross-entropy. Takes the cross-entropy loss only. */
  readonly distillation?: { readonly temperature: number; readonly mix: number };
  /** Weights that are zero in `forward` stay zero. */
  readonly keepZeros?: boolean;
}

/** Float32; feed the output of step t as the input of step t + 1, `initial` at the first. */
export interface StateTensor {
  /** A weight's or running statistic's name in `forward`, or an optimizer slot's own. */
  readonly input: string;
  readonly output: string;
  readonly dims: readonly number[];
  readonly initial: Float32Array;
}

/** A dropout mask fed by the caller: each element 0 with probability `rate`, else 1 / (1 − rate). */
export interface DropoutMask {
  readonly name: string;
  readonly shape: readonly number[];
  readonly rate: number;
}

/** One step of training as one graph: forward, loss, backward, clipping, update. Static shapes, plain opset-18 ops. */
export interface TrainingStep {
  readonly model: Model;
  /** Weights, batch normalization's running statistics, optimizer slots. */
  readonly state: readonly StateTensor[];
  readonly inputs: {
    /** Float [batchSize, ...features]. */
    readonly features: string;
    /** Cross-entropy: int64 [batchSize] class indices; mean squared error: float, the output's shape. */
    readonly targets: string;
    /** Float scalar. */
    readonly learningRate: string;
    /** Adam only: float scalars c1 = 1 / (1 − β1ᵗ), c2 = 1 / (1 − β2ᵗ), t from 1. */
    readonly corrections?: { readonly c1: string; readonly c2: string };
    /** Distillation only: the teacher's logits, float [batchSize, classes]. */
    readonly teacher?: string;
    readonly dropout: readonly DropoutMask[];
  };
  /** Float scalars, and the logits (or predictions) of the batch. The norm is taken before clipping. */
  readonly outputs: { readonly loss: string; readonly logits: string; readonly gradientNorm: string };
}
