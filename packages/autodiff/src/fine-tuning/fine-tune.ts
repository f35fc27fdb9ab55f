import { cloneModel } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import type { BuiltLayer } from '../build-layers.js';
import { importForTraining } from '../import-for-training.js';
import { size } from '../value.js';
import { freeze, unfreezeStatistics, weightsOf } from './freeze.js';
import { weightsNamed } from './glob.js';
import { addAdapters, mergeAdapters } from './low-rank.js';
import type { LowRank } from './low-rank.js';
import { replaceHead } from './replace-head.js';
import type { Head } from './replace-head.js';

/** How a training goes on from a graph. */
export interface FineTuning {
  /** Globs over names of weights, or of nodes that read them: these stay as they are. */
  readonly freeze?: readonly string[];
  readonly head?: Head;
  /** Trains adapters, and the new layers, instead of the base's weights. */
  readonly lora?: LowRank;
  /** Batch normalization goes on gathering statistics. */
  readonly trainStatistics?: boolean;
}

export interface FineTuningOptions extends FineTuning {
  /** Sizes of one example, for axes that the graph leaves open. */
  readonly exampleShape: readonly number[];
  /** Uniform numbers in [0, 1); one stream per new weight. */
  readonly random: (stream: number, count: number) => Float32Array;
}

export interface FineTuned {
  /** What is trained: frozen weights are constants, adapters stand beside what they adapt. */
  readonly forward: Model;
  /** What is served: the base's structure, with the new layers. */
  readonly plain: Model;
  /** The new layers. */
  readonly layers: readonly BuiltLayer[];
  /** Trained ones. */
  readonly parameters: number;
  /** Trained weights of `forward` as weights of `plain`: adapters are added to what they adapt. */
  merged(weights: ReadonlyMap<string, Float32Array>): Map<string, Float32Array>;
}

/**
 * A graph in the form that is trained on from, in the ways asked for. The model given is not changed. Throws
 * TrainingFormError and LayerError naming the field.
 */
export function fineTune(base: Model, options: FineTuningOptions): FineTuned {
  const plain = importForTraining(base);
  const olds = new Set(weightsOf(plain.graph));
  if (options.trainStatistics) unfreezeStatistics(plain.graph);
  const layers = options.head ? replaceHead(plain, options.head, options) : [];
  const left = weightsOf(plain.graph).filter((name) => olds.has(name));

  const forward = cloneModel(plain);
  const { graph } = forward;
  const fixed = weightsNamed(graph, left, options.freeze ?? [], 'base.freeze');
  const news = plain.graph.initializers.size; // streams the new layers may have taken
  const adaptable = left.filter((name) => !fixed.has(name));
  const adapters = options.lora
    ? addAdapters(graph, adaptable, options.lora, (stream, count) => options.random(news + stream, count))
    : [];
  freeze(graph, options.lora ? left : fixed);
  const parameters = weightsOf(graph).reduce((sum, name) => sum + size(graph.initializers.get(name)!.dims), 0);
  return { forward, plain, layers, parameters, merged: (weights) => mergeAdapters(plain.graph, adapters, weights) };
}
