import type { TypedTensor } from '@modelmill/runtime';

/** A batch as the graphs take it. */
export interface Lesson {
  /** The features' tensor, the batch in front. */
  readonly features: TypedTensor;
  /** Class indices or numbers, one per prediction, in order. */
  readonly targets: Float32Array;
  /** The targets' tensor as the step graph takes it. */
  readonly targetTensor: TypedTensor;
  readonly size: number;
  /** Which rows of a table these are; none for text. */
  readonly rows?: Uint32Array;
}

export type Part = 'while training' | 'at the end';

/** What a training learns from step by step, and what it is measured on. */
export interface Examples {
  /** Steps in which the training part is gone through once, as far as whole batches go. */
  readonly stepsPerEpoch: number;
  /** Steps of a training that states epochs at most. */
  stepsOf(epochs: number): number;
  /** Steps between two evaluations where a training does not say. */
  readonly evaluateEvery: number;
  /** The batch of a step, counted from 0: a function of the seed and the step alone. */
  at(step: number): Lesson;
  /** Held-out examples in their order: the validation part while training, the test part at the end. */
  heldOut(part: Part): Iterable<Lesson>;
}

/** The first part that holds something: validation, or else test, while training; the other way round at the end. */
export function partOf<T>(
  part: Part,
  { train, validation, test }: { train: T; validation: T; test: T },
  size: (of: T) => number,
): T {
  const order = part === 'while training' ? [validation, test, train] : [test, validation, train];
  return order.find((of) => size(of) > 0) ?? train;
}
