import { buildLayers, fineTune, inferenceModel, presetLayers } from '@modelmill/autodiff';
import type { BuiltLayer, InferenceOptions, LayerSpec } from '@modelmill/autodiff';
import type { Normalization } from '@modelmill/data';
import type { Model } from '@modelmill/onnx';
import type { TrainingPlan } from './training-plan.js';

/** What a graph is built for. */
export interface Surroundings {
  /** Sizes of one example of the dataset. */
  readonly featureShape: readonly number[];
  /** Classes of the target, or tokens of the vocabulary; 0 where the target is a number. */
  readonly classes: number;
  /** Numbers the last layer must give, for one place of a text. */
  readonly outputs: number;
  /** Whether examples are tokens. */
  readonly isText: boolean;
  readonly normalization?: Normalization | undefined;
  /** Uniform numbers in [0, 1); one stream per new weight. */
  readonly random: (stream: number, count: number) => Float32Array;
}

/** The graph a training begins with. */
export interface InitialGraph {
  /** Training form. */
  readonly forward: Model;
  /** The new layers. */
  readonly layers: readonly BuiltLayer[];
  /** Trained ones. */
  readonly parameters: number;
  /** The graph that is served, with trained weights of `forward`. */
  served(weights: ReadonlyMap<string, Float32Array>, options: InferenceOptions): Model;
}

/** Builds the layers of a plan, or goes on from its base. Throws LayerError and TrainingFormError. */
export function initialGraph(
  plan: Pick<TrainingPlan, 'start' | 'model'>,
  around: Surroundings,
  base: Model | undefined,
): InitialGraph {
  const { start, model } = plan;
  const { featureShape, classes, isText, normalization, random } = around;
  if (base !== undefined) {
    const fineTuning = start.kind === 'version' || start.kind === 'artifact' ? start.fineTuning : {};
    const exampleShape = exampleShapeOf(base, featureShape);
    const { forward, plain, layers, parameters, merged } = fineTune(base, { ...fineTuning, exampleShape, random });
    return {
      forward,
      layers,
      parameters,
      // where weights are fed, they are fed under their names in `forward`
      served: (weights, options) =>
        options.weightsAsInputs
          ? inferenceModel(forward, weights, options)
          : inferenceModel(plain, merged(weights), options),
    };
  }
  const { forward, layers, parameters } = buildLayers(layersOf(plan, around), {
    featureShape,
    ...(isText ? { tokens: { vocabulary: classes } } : {}),
    ...(normalization ? { normalization } : {}),
    random,
    name: model,
  });
  return { forward, layers, parameters, served: (weights, options) => inferenceModel(forward, weights, options) };
}

/** The layers of a plan that names layers or a preset. */
export function layersOf({ start }: Pick<TrainingPlan, 'start'>, around: Surroundings): readonly LayerSpec[] {
  const { featureShape, outputs } = around;
  switch (start.kind) {
    case 'layers':
      return start.layers;
    case 'preset':
      return presetLayers(start.preset, { featureShape, outputs });
    case 'version':
    case 'artifact':
      return [];
  }
}

/** Sizes of one example as a graph takes it; those it leaves open are the dataset's. */
export const exampleShapeOf = ({ graph }: Model, featureShape: readonly number[]): number[] => {
  const [features] = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  return (features?.shape ?? [])
    .slice(1)
    .map((size, axis) => (typeof size === 'number' ? size : (featureShape[axis] ?? 1)));
};
