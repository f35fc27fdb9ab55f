import type { DropoutMask } from './reading.js';

/** Float32; feed the output of step t as the input of step t + 1, `initial` at the first. */
export interface StateTensor {
  /** A weight's or running statistic's name in `forward`, or an optimizer slot's own. */
  readonly input: string;
  readonly output: string;
  readonly kind: 'weight' | 'running statistic' | 'optimizer slot' | 'weight average' | 'projection';
  /** An average's weight. */
  readonly of?: string;
  readonly dims: readonly number[];
  readonly initial: Float32Array;
}

/** What a step of training is fed, holds and tells. */
export interface DescribedStep {
  /** Weights, batch normalization's running statistics, optimizer slots. */
  readonly state: readonly StateTensor[];
  readonly inputs: {
    /** Float [batchSize, ...features]. */
    readonly features: string;
    /** Cross-entropy: int64 class indices, the output's shape without its last axis; other losses: float, its shape. */
    readonly targets: string;
    /** Float scalar. */
    readonly learningRate: string;
    /** Adam and Muon only: float scalars c1 = 1 / (1 − β1ᵗ), c2 = 1 / (1 − β2ᵗ), t from 1. */
    readonly corrections?: { readonly c1: string; readonly c2: string };
    /** Distillation only: the teacher's logits, float [batchSize, classes]. */
    readonly teacher?: string;
    /** Distillation of features: the teacher's hidden values, one per feature. */
    readonly teacherFeatures: readonly { readonly name: string; readonly shape: readonly number[] }[];
    readonly dropout: readonly DropoutMask[];
  };
  /** Float scalars, and the logits (or predictions) of the batch. The norm is taken before clipping; of a gathering step it is this batch's. */
  readonly outputs: { readonly loss: string; readonly logits: string; readonly gradientNorm: string };
}
