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
  /** Sizes of an example, for axes that the graph leaves open. */
  readonly exampleShape?: readonly number[];
  readonly loss: LossSpec;
  readonly optimizer: OptimizerSpec;
  /** The gradients of all weights together are scaled down to this norm; unset or 0: never. */
  readonly clipNorm?: number;
  /** mix · T² · KL(teacher ‖ student) + (1 − mix) · cross-entropy. Takes the cross-entropy loss only. */
  readonly distillation?: { readonly temperature: number; readonly mix: number };
  /** Weights of two axes and more that are zero in `forward` stay zero: what pruning left. */
  readonly keepZeros?: boolean;
}
