import type { Model } from '@modelmill/onnx';
import type { LayerSpec } from './layer-spec.js';
import type { StepOptions, TrainingStep } from './training-step.js';

export { activations } from './layer-spec.js';
export type { Activation, LayerSpec, Size2d } from './layer-spec.js';
export type { DropoutMask, LossSpec, OptimizerSpec, StateTensor, StepOptions, TrainingStep } from './training-step.js';
export { LayerError, TrainingFormError, UnsupportedOpError } from './errors.js';

/** What `buildLayers` needs to know besides the layers. */
export interface BuildOptions {
  /** Sizes of one example. */
  readonly featureShape: readonly number[];
  /** y = (x − offset) · scale, baked in as the graph's first nodes; one number per feature, or one for all. */
  readonly normalization?: { readonly offset: Float32Array; readonly scale: Float32Array };
  /** Uniform numbers in [0, 1); one stream per weight. */
  readonly random: (stream: number, count: number) => Float32Array;
  /** The graph's name. */
  readonly name: string;
}

export interface BuiltModel {
  /** Training form: BatchNormalization and Dropout in training mode; `input` [batch, ...features] to `output`. */
  readonly forward: Model;
  readonly layers: readonly {
    readonly name: string;
    readonly outputShape: readonly number[];
    readonly parameters: number;
  }[];
  readonly parameters: number;
}

export declare function buildLayers(layers: readonly LayerSpec[], options: BuildOptions): BuiltModel;
export declare function importForTraining(model: Model): Model;
export declare function trainingStep(forward: Model, options: StepOptions): TrainingStep;
export declare function inferenceModel(
  forward: Model,
  weights: ReadonlyMap<string, Float32Array>,
  options: { readonly softmax: boolean },
): Model;
