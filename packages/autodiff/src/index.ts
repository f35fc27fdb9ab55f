// building
export { buildLayers } from './build-layers.js';
export type { BuildOptions, BuiltLayer, BuiltModel } from './build-layers.js';
export { activations } from './layer-spec.js';
export type { Activation, LayerKind, LayerOf, LayerSpec, NormalStart, Size2d } from './layer-spec.js';
export { presetLayers } from './presets.js';
export type { PresetFrame, PresetSpec } from './presets.js';
export { importForTraining } from './import-for-training.js';
export { fineTune } from './fine-tuning/fine-tune.js';
export type { FineTuned, FineTuning, FineTuningOptions } from './fine-tuning/fine-tune.js';
// training
export { groupFault } from './parameter-groups.js';
export { trainableWeights } from './read-graph.js';
export { dividedStep, trainingStep } from './training-step.js';
export { dataParallelStep } from './data-parallel-step.js';
export type { DataParallelStep, Part } from './data-parallel-step.js';
export type { AdamSpec, LossSpec, LossTerm, OptimizerSpec, ParameterGroup, StepOptions } from './step-options.js';
export { featureLosses } from './feature-losses.js';
export type { FeatureLoss, FeatureTarget } from './feature-losses.js';
export type { DescribedStep, StateTensor } from './described-step.js';
export type { DividedStep, TrainingStep } from './training-step.js';
export type { DropoutMask } from './reading.js';
export { gradientRules } from './gradient-rules.js';
export type { GradientQuestion, GradientRule } from './gradient-rule.js';
// serving
export { inferenceModel } from './inference-model.js';
export type { InferenceOptions } from './inference-model.js';
export { LayerError, TrainingFormError, UnsupportedOpError } from './errors.js';
