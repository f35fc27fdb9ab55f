import { buildLayers, importForTraining, inferenceModel, trainingStep } from '@modelmill/autodiff';
import type { TrainingStep } from '@modelmill/autodiff';
import { counterRandom, fitNormalization, readTable, splitRows } from '@modelmill/data';
import type { Table } from '@modelmill/data';
import { readOnnx, writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { readFile } from 'node:fs/promises';
import type { TrainingOrder } from './training-messages.js';

/** Streams of a job's seed: weights take those from here on, one each. */
const weightStreams = 100;

/** Everything a training needs besides its state. */
export interface PreparedTraining {
  readonly table: Table;
  readonly rows: { readonly train: Uint32Array; readonly validation: Uint32Array; readonly test: Uint32Array };
  readonly step: TrainingStep;
  /** Sizes of one example as the graph takes it. */
  readonly exampleShape: readonly number[];
  /** The served graph with these weights; `asInputs` leaves them to be fed. */
  served(weights: ReadonlyMap<string, Float32Array>, asInputs: boolean): Uint8Array;
  readonly softmax: boolean;
  readonly parameters: number;
}

/** Reads the dataset and builds the graphs of an order. */
export async function prepareTraining(order: TrainingOrder): Promise<PreparedTraining> {
  const { plan, dataset, loss } = order;
  const seed = BigInt(plan.seed);
  const table = await readTable(dataset.path, dataset.format);
  const rows = splitRows(table.rows, { ...dataset.splits, seed: BigInt(dataset.splits.seed) });
  const forward = await forwardOf(order, table, rows.train, seed);
  const { batchSize, optimizer, clipNorm, distillation, start } = plan;
  const step = trainingStep(forward, {
    batchSize,
    loss: { kind: loss },
    optimizer,
    clipNorm,
    ...(distillation ? { distillation } : {}),
    keepZeros: start.kind !== 'layers' && start.keepZeros,
  });
  const softmax = table.classes !== undefined;
  const weights = step.state.filter(({ kind }) => kind === 'weight');
  return {
    table,
    rows,
    step,
    softmax,
    exampleShape: (forward.graph.inputs[0]?.shape ?? []).slice(1).map(Number),
    served: (values, weightsAsInputs) => writeOnnx(inferenceModel(forward, values, { softmax, weightsAsInputs })),
    parameters: weights.reduce((sum, { initial }) => sum + initial.length, 0),
  };
}

async function forwardOf(
  { plan, basePath }: TrainingOrder,
  table: Table,
  trainRows: Uint32Array,
  seed: bigint,
): Promise<Model> {
  if (basePath !== undefined) return importForTraining(readOnnx(await readFile(basePath)));
  const normalization = fitNormalization(table, trainRows, plan.normalize);
  return buildLayers(plan.start.kind === 'layers' ? plan.start.layers : [], {
    featureShape: table.featureShape,
    ...(normalization ? { normalization } : {}),
    random: (stream, count) => counterRandom(seed, weightStreams + stream).uniform(0, count),
    name: plan.model,
  }).forward;
}
