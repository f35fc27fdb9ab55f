import {
  LayerError,
  TrainingFormError,
  UnsupportedOpError,
  dividedStep,
  groupFault,
  trainableWeights,
  trainingStep,
} from '@modelmill/autodiff';
import type { LayerSpec, LossTerm } from '@modelmill/autodiff';
import { registry } from '@modelmill/contracts';
import type { datasets, trainer } from '@modelmill/contracts';
import {
  DatasetError,
  TokenizerError,
  isMetric,
  learnTokenizer,
  metricsOf,
  splitRows,
  tokenizerIn,
} from '@modelmill/data';
import { AdmissionError, OnnxFormatError, ShapeError, checkAdmission, readOnnx, signatureOf } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { NotFoundError } from '@modelmill/store';
import type { Store } from '@modelmill/store';
import * as errors from './errors.js';
import { fittingLoss, isBinary, outputsOf } from './fitting-loss.js';
import type { Target } from './fitting-loss.js';
import { hiddenFeatures } from './hidden-features.js';
import { exampleShapeOf, initialGraph, layersOf } from './initial-graph.js';
import type { InitialGraph, Surroundings } from './initial-graph.js';
import { memoryEstimate, memoryLimit } from './memory-estimate.js';
import { stepOptions } from './prepared-training.js';
import type { TrainingInputs } from './training-messages.js';
import type { TrainingPlan } from './training-plan.js';

/** A plan whose dataset, base and teacher exist and fit each other. */
export interface CheckedTraining {
  readonly dataset: datasets.DatasetVersion;
  /** What the plan's names stand for now. */
  readonly inputs: TrainingInputs;
  readonly loss: readonly LossTerm[];
  /** Examples per step. */
  readonly batchSize: number;
  readonly summary: trainer.ValidateTrainingResponse;
}

/** What a training may hold in memory: 256 MiB of weights, and a multiple of it in the optimizer's state. */
const mostParameters = 2 ** 26;
const mostLayers = 1_000;
const mostBatch = 65_536;

export type LookedUpIn = Pick<Store, 'registry' | 'datasets' | 'artifacts'>;

/**
 * Looks up what a plan names and holds it against each other. `known` are the inputs of a training that goes on: labels
 * may have moved since it began. Throws an RpcError that names the field, the layer or the node.
 */
export async function checkTraining(
  store: LookedUpIn,
  plan: TrainingPlan,
  known?: TrainingInputs,
): Promise<CheckedTraining> {
  const { dataset: name } = plan;
  const version = known?.datasetVersion ?? plan.datasetVersion;
  const dataset = await found(store.datasets.version(name, version), () => errors.datasetNotFound(name, version));
  const base = await baseOf(store, plan, known);
  const form = await formOf(store, dataset, plan, base?.sha256);
  const { classes } = form;
  const loss = fittingLoss(plan, form);
  checkMetrics(plan, form);
  const trainRows = trainRowsOf(dataset);
  if (form.isText && trainRows <= plan.context) throw errors.textShort(name, trainRows, plan.context);
  if (plan.mode === 'full_batch' && form.isText) throw errors.fullBatchOfText(name);
  if (plan.mode === 'full_batch' && trainRows > mostBatch) throw errors.fullBatchTooLarge(trainRows, mostBatch);
  const batchSize = plan.mode === 'full_batch' ? trainRows : plan.batchSize;
  if (!form.isText && batchSize > trainRows) throw errors.batchTooLarge(batchSize, trainRows);

  const teacherSha256 = await teacherOf(store, plan, form, known);
  const inputs: TrainingInputs = {
    datasetVersion: dataset.version,
    ...(base === undefined ? {} : { baseSha256: base.sha256, baseVersion: base.version }),
    ...(teacherSha256 === undefined ? {} : { teacherSha256 }),
  };
  const built =
    base === undefined
      ? layered(plan, form, loss)
      : based(await store.artifacts.read(base.sha256), { ...plan, batchSize }, form, loss);
  const fault = groupFault(trainableWeights(built.forward), plan.groups);
  if (fault !== undefined) throw errors.badGroups(fault);
  checkPruned(plan, built.forward);
  if (teacherSha256 !== undefined && plan.distillation && plan.distillation.features.length > 0) {
    const teacher = readOnnx(await store.artifacts.read(teacherSha256));
    checkFeatures({ ...plan, batchSize }, { teacher, student: built.forward }, form, loss);
  }
  if (plan.engine === 'tfjs') await checkTfjs(built, { ...plan, batchSize }, form, loss);
  const estimate = memoryEstimate(plan, built.parameters, built.layers, batchSize);
  if (estimate > memoryLimit()) throw errors.tooMuchMemory(estimate, memoryLimit(), batchSize);
  const sigmoid = isBinary(loss);
  const signature = registrySignature(built.served(new Map(), { softmax: classes > 0 && !sigmoid, sigmoid }));
  const layers = built.layers.map(({ name: layer, outputShape, parameters }) => ({
    name: layer,
    outputShape: outputShape.map(BigInt),
    parameters: BigInt(parameters),
  }));
  return { dataset, inputs, loss, batchSize, summary: { layers, parameters: BigInt(built.parameters), signature } };
}

/** Whether what is pruned while training is there to be pruned. */
function checkPruned({ pruning }: TrainingPlan, forward: Model): void {
  const matrices = trainableWeights(forward).filter((name) => forward.graph.initializers.get(name)!.dims.length > 1);
  const names = pruning?.groups.flatMap(({ weights }) => weights) ?? [];
  const unknown = names.find((name) => !matrices.includes(name));
  if (unknown !== undefined) throw errors.notPrunable(unknown, matrices);
}

/** Whether what is learned from the inside of a teacher is there, and fits. */
function checkFeatures(
  plan: TrainingPlan,
  graphs: { readonly teacher: Model; readonly student: Model },
  { featureShape }: Form,
  loss: readonly LossTerm[],
): void {
  const random = (_: number, count: number) => new Float32Array(count); // only their count matters here
  const features = hiddenFeatures(plan, { ...graphs, batchSize: plan.batchSize, featureShape, random });
  try {
    trainingStep(graphs.student, stepOptions(plan, loss, featureShape, features));
  } catch (error) {
    throw error instanceof TrainingFormError ? errors.featuresMisfit(error.message) : error;
  }
}

/** The second engine has fewer operators. */
async function checkTfjs(
  { forward }: InitialGraph,
  plan: TrainingPlan,
  { featureShape }: Form,
  loss: readonly LossTerm[],
): Promise<void> {
  const { unsupportedByTfjs } = await import('@modelmill/tfjs');
  const step = checked(() => dividedStep(forward, stepOptions(plan, loss, featureShape)));
  const what = unsupportedByTfjs(step);
  if (what !== undefined) throw errors.notByTfjs(what);
}

export const defaultSplits: datasets.Splits = { train: 0.8, validation: 0, test: 0.2, seed: 0n };

/** Rows of the training split. */
function trainRowsOf({ dataset, rows, splits = defaultSplits }: datasets.DatasetVersion): number {
  try {
    splitRows(0, splits);
  } catch (error) {
    throw error instanceof DatasetError ? errors.badSplits(dataset, error.message) : error;
  }
  return Math.round(Number(rows) * splits.train);
}

/** Sizes of an example, and what the target is. */
interface Form extends Target {
  readonly featureShape: readonly number[];
}

async function formOf(
  { artifacts }: Pick<Store, 'artifacts'>,
  { dataset, schema, format, artifactSha256 }: datasets.DatasetVersion,
  { context, tokenizer, normalize, distillation }: TrainingPlan,
  baseSha256: string | undefined,
): Promise<Form> {
  const classNames = schema?.classes ?? [];
  if (format?.$case !== 'text') {
    return {
      featureShape: (schema?.featureShape ?? []).map(Number),
      classNames,
      classes: classNames.length,
      isText: false,
    };
  }
  if (normalize !== 'none') throw errors.textNormalized(normalize);
  if (distillation) throw errors.distillationOfNumbers(dataset);
  const base = baseSha256 === undefined ? undefined : await artifacts.read(baseSha256);
  const classes =
    (base && checked(() => tokenizerIn(readOnnx(base).metadata))?.size) ??
    (tokenizer.kind === 'byte_pair'
      ? tokenizer.vocabulary
      : (await learnTokenizer(await artifacts.path(artifactSha256), tokenizer)).size);
  return { featureShape: [context], classNames: [], classes, isText: true };
}

function checkMetrics(
  { metrics, monitored, earlyStopping, restoreBest }: TrainingPlan,
  { classes, isText }: Form,
): void {
  const target = classes > 0 ? `a target of ${classes} ${isText ? 'tokens' : 'classes'}` : 'a target that is a number';
  const unfit = metrics.find((metric) => !isMetric(metric, classes, isText));
  if (unfit !== undefined) throw errors.unknownMetric(unfit, target);
  const measured = ['loss', ...(metrics.length > 0 ? metrics : metricsOf(classes, isText))];
  if ((earlyStopping || restoreBest) && !measured.includes(monitored)) throw errors.unknownMonitor(monitored, measured);
}

function layered(plan: TrainingPlan, form: Form, loss: readonly LossTerm[]): InitialGraph {
  const around = surroundings(form, loss);
  const count = countOf(layersOf(plan, around));
  if (count > mostLayers) throw errors.tooManyLayers(count, mostLayers);
  const built = checked(() => initialGraph(plan, around, undefined));
  checkOutputs(built.layers.filter(({ name }) => !name.includes('.')).at(-1)?.outputShape ?? [], form, loss);
  return built;
}

/** Layers, and those inside them. */
function countOf(layers: readonly LayerSpec[]): number {
  const inner = (layer: LayerSpec) => {
    if (layer.kind === 'residual') return countOf(layer.layers);
    return layer.kind === 'parallel' ? countOf(layer.branches.flat()) : 0;
  };
  return layers.reduce((sum, layer) => sum + 1 + inner(layer), 0);
}

function surroundings({ featureShape, classes, isText }: Form, loss: readonly LossTerm[]): Surroundings {
  let parameters = 0;
  const random = (_: number, count: number) => {
    parameters += count;
    if (parameters > mostParameters) throw errors.tooManyParameters(mostParameters); // before they take memory
    return new Float32Array(count); // only their count matters here
  };
  return { featureShape, classes, outputs: outputsOf(loss, classes), isText, random };
}

function based(artifact: Uint8Array, plan: TrainingPlan, form: Form, loss: readonly LossTerm[]): InitialGraph {
  const { featureShape } = form;
  return checked(() => {
    const base = checkAdmission(artifact).model;
    const takes = exampleShapeOf(base, featureShape);
    if (sizeOf(takes) !== sizeOf(featureShape)) throw errors.wrongFeatures('the base', featureShape, takes);
    const built = initialGraph(plan, surroundings(form, loss), base);
    const { batchSize, optimizer } = plan;
    const step = trainingStep(built.forward, {
      batchSize,
      exampleShape: featureShape,
      loss,
      optimizer,
    });
    const outputs = step.model.graph.outputs.find(({ name }) => name === step.outputs.logits)?.shape ?? [];
    checkOutputs(
      outputs.slice(1).map((size) => Number(size)),
      form,
      loss,
    );
    return built;
  });
}

function checkOutputs(
  got: readonly number[],
  { classes, isText, featureShape }: Form,
  loss: readonly LossTerm[],
): void {
  const width = outputsOf(loss, classes);
  const wanted = isText ? [...featureShape, width] : [width];
  if (got.length === wanted.length && got.every((size, axis) => size === wanted[axis])) return;
  throw errors.wrongOutputs(got, wanted, why(width, classes, isText));
}

function why(width: number, classes: number, isText: boolean): string {
  if (classes === 0) return 'the target is a number';
  if (isText) return `every place is followed by one of ${classes} tokens`;
  return width === classes
    ? `the target has ${classes} classes`
    : 'binary cross-entropy takes one logit for two classes';
}

/** Errors of building and differentiating as what is wrong with the spec. */
function checked<T>(build: () => T): T {
  try {
    return build();
  } catch (error) {
    if (error instanceof LayerError) throw errors.badLayer(error.message);
    const kinds = [UnsupportedOpError, TrainingFormError, ShapeError, OnnxFormatError, AdmissionError, TokenizerError];
    const kind = kinds.find((one) => error instanceof one);
    if (kind && error instanceof Error) throw errors.notTrainable(error.message);
    throw error;
  }
}

async function baseOf(
  { registry: known, artifacts }: LookedUpIn,
  { start, model }: TrainingPlan,
  inputs: TrainingInputs | undefined,
): Promise<{ sha256: string; version: string } | undefined> {
  if (inputs?.baseSha256 !== undefined) return { sha256: inputs.baseSha256, version: inputs.baseVersion ?? '' };
  switch (start.kind) {
    case 'layers':
    case 'preset':
      return undefined;
    case 'artifact':
      if (!(await artifacts.has(start.sha256))) throw errors.artifactNotFound(start.sha256);
      return { sha256: start.sha256, version: '' };
    case 'version': {
      const { version, artifactSha256 } = await versionOf(known, model, start.version);
      return { sha256: artifactSha256, version };
    }
  }
}

async function teacherOf(
  { registry: known }: LookedUpIn,
  { distillation }: TrainingPlan,
  { featureShape, classes }: Form,
  inputs: TrainingInputs | undefined,
): Promise<string | undefined> {
  if (inputs?.teacherSha256 !== undefined || distillation === undefined) return inputs?.teacherSha256;
  const { model, version } = distillation;
  const teacher = await versionOf(known, model, version);
  const { inputs: takes = [], outputs: gives = [] } = teacher.signature ?? {};
  const features = (takes[0]?.shape ?? []).slice(1).map(Number);
  if (sizeOf(features) !== sizeOf(featureShape)) {
    throw errors.wrongFeatures(`the teacher '${model}'`, featureShape, features);
  }
  const width = Number(gives[0]?.shape.at(-1) ?? 0);
  if (width !== classes) throw errors.wrongTeacher(model, width, classes);
  return teacher.artifactSha256;
}

async function versionOf(known: Store['registry'], model: string, wanted: string): Promise<registry.Version> {
  const version = await found(known.version(model, wanted), () => errors.versionNotFound(model, wanted));
  if (version.state === registry.VersionState.VERSION_STATE_REJECTED) {
    throw errors.versionRejected(model, version.version, version.rejectionReason);
  }
  return version;
}

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

async function found<T>(lookup: Promise<T>, otherwise: () => Error): Promise<T> {
  try {
    return await lookup;
  } catch (error) {
    throw error instanceof NotFoundError ? otherwise() : error;
  }
}

/** What a model takes and gives, as the registry keeps it. */
export function registrySignature(model: Model): registry.Signature {
  const { inputs, outputs } = signatureOf(model);
  const sized = (tensors: typeof inputs) =>
    tensors.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(BigInt) }));
  return { inputs: sized(inputs), outputs: sized(outputs) };
}
