import { dataParallelStep, dividedStep, trainingStep } from '@modelmill/autodiff';
import type {
  DataParallelStep,
  DividedStep,
  FeatureTarget,
  LossTerm,
  StepOptions,
  TrainingStep,
} from '@modelmill/autodiff';
import { contextKey, counterRandom, tokenizerKey } from '@modelmill/data';
import type { Table } from '@modelmill/data';
import { readOnnx, writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { readFile } from 'node:fs/promises';
import type { Examples } from './examples.js';
import { isBinary, outputsOf } from './fitting-loss.js';
import { hiddenFeatures } from './hidden-features.js';
import type { HiddenFeature } from './hidden-features.js';
import { exampleShapeOf, initialGraph } from './initial-graph.js';
import type { InitialGraph } from './initial-graph.js';
import type { Material } from './material.js';
import type { TrainingOrder } from './training-messages.js';
import type { TrainingPlan } from './training-plan.js';

/** Streams of a job's seed: weights take those from here on, one each, and projections of features these. */
const weightStreams = 100;
const projectionStreams = 1_000_000;

/** A step in one graph, and for several threads where it can be parted among them. */
export type ParallelStep = TrainingStep & { readonly parallel?: DataParallelStep };

/** Everything a training needs besides its state. */
export interface PreparedTraining {
  readonly examples: Examples;
  /** What a teacher is asked about; undefined for text. */
  readonly asked: { readonly table: Table; readonly rows: Uint32Array } | undefined;
  /** What is learned from the inside of a teacher. */
  readonly features: readonly HiddenFeature[];
  /** Divided where the engine differentiates by itself. */
  readonly step: ParallelStep | DividedStep;
  /** Classes of the target, or tokens of the vocabulary; 0 where the target is a number. */
  readonly classes: number;
  readonly isText: boolean;
  /** The served graph with these weights; `asInputs` leaves them to be fed. */
  served(weights: ReadonlyMap<string, Float32Array>, asInputs: boolean): Uint8Array;
  readonly parameters: number;
}

/** Builds the graphs of an order whose dataset was read. */
export async function prepareFrom(order: TrainingOrder, material: Material): Promise<PreparedTraining> {
  const { plan, loss } = order;
  const graph = await graphOf(order, material);
  const { forward } = graph;
  const { batchSize } = plan;
  const features = await featuresOf(order, material, forward);
  const options = stepOptions(plan, loss, material.featureShape, features);
  const step = plan.engine === 'tfjs' ? dividedStep(forward, options) : parallelStep(plan, forward, options);
  const { classes, tokenizer } = material;
  const sigmoid = isBinary(loss);
  const exampleShape = exampleShapeOf(forward, material.featureShape);
  const weights = step.state.filter(({ kind }) => kind === 'weight');
  return {
    examples: material.examples(exampleShape, { batchSize, targets: targetsOf(classes, sigmoid) }),
    isText: tokenizer !== undefined,
    asked: material.asked,
    features,
    step,
    classes,
    served(values, weightsAsInputs) {
      const model = graph.served(values, { softmax: classes > 0 && !sigmoid, sigmoid, weightsAsInputs });
      if (tokenizer) {
        model.metadata.set(tokenizerKey, JSON.stringify(tokenizer));
        model.metadata.set(contextKey, String(plan.context));
      }
      return writeOnnx(model);
    },
    parameters: weights.reduce((sum, { initial }) => sum + initial.length, 0),
  };
}

/** Parts of a batch that threads compute on their own. Of a job's numbers, not of the machine's: sums depend on it. */
export const shares = 2;

function parallelStep({ start, provider }: TrainingPlan, forward: Model, options: StepOptions): ParallelStep {
  const step = trainingStep(forward, options);
  // of layers it is known that they keep examples apart, of a graph from elsewhere it is not
  const isKnown = start.kind === 'layers' || start.kind === 'preset';
  const parallel = provider === 'cpu' && isKnown ? dataParallelStep(forward, options, shares) : undefined;
  return parallel ? { ...step, parallel } : step;
}

/** What a plan says of a step. */
export function stepOptions(
  { start, distillation, pruning, importance, ...plan }: TrainingPlan,
  loss: readonly LossTerm[],
  exampleShape: readonly number[],
  features: readonly FeatureTarget[] = [],
): StepOptions {
  const { batchSize, optimizer, groups, decayMatricesOnly, accumulate, clipValue, clipNorm, ema, provider } = plan;
  return {
    batchSize,
    exampleShape,
    loss,
    optimizer,
    groups,
    decayMatricesOnly,
    accumulate,
    clipValue,
    clipNorm,
    ema,
    ...(distillation ? { distillation: { ...distillation, features } } : {}),
    keepZeros: 'keepZeros' in start && start.keepZeros,
    ...(pruning ? { pruned: pruning.groups.flatMap(({ weights }) => weights) } : {}),
    importance,
    columns: provider === 'cpu',
  };
}

async function featuresOf(
  { plan, teacherPath }: TrainingOrder,
  { featureShape }: Material,
  student: Model,
): Promise<HiddenFeature[]> {
  if (teacherPath === undefined || plan.distillation === undefined || plan.distillation.features.length === 0)
    return [];
  const teacher = readOnnx(await readFile(teacherPath));
  const random = (stream: number, count: number) =>
    counterRandom(BigInt(plan.seed), projectionStreams + stream).uniform(0, count);
  return hiddenFeatures(plan, { teacher, student, batchSize: plan.batchSize, featureShape, random });
}

const targetsOf = (classes: number, sigmoid: boolean) => (classes > 0 && !sigmoid ? 'class indices' : 'numbers');

async function graphOf({ plan, loss, basePath }: TrainingOrder, material: Material): Promise<InitialGraph> {
  const { featureShape, classes, normalization, tokenizer } = material;
  const random = (stream: number, count: number) =>
    counterRandom(BigInt(plan.seed), weightStreams + stream).uniform(0, count);
  const outputs = outputsOf(loss, classes);
  const around = { featureShape, classes, outputs, isText: tokenizer !== undefined, normalization, random };
  return initialGraph(plan, around, basePath === undefined ? undefined : readOnnx(await readFile(basePath)));
}
