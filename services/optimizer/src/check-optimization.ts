import { registry as contract } from '@modelmill/contracts';
import type { datasets, registry } from '@modelmill/contracts';
import { readOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { openModelFiles } from '@modelmill/store';
import type { Store } from '@modelmill/store';
import { bindingFor } from './binding.js';
import type { Binding } from './binding.js';
import * as errors from './errors.js';
import { defaultSplits } from './examples.js';
import { gateMetric } from './gate.js';
import type { OptimizationPlan } from './optimization-plan.js';
import { taskOf } from './task.js';
import type { Task } from './task.js';
import { isQuantized } from './weighted-layers.js';

/** A plan whose version and dataset exist and fit each other. */
export interface CheckedOptimization {
  readonly parent: registry.Version;
  readonly dataset: datasets.DatasetVersion;
  readonly task: Task;
  /** How the parent takes its examples. */
  readonly binding: Binding;
}

/** A version, and the dataset that it is to fit. */
export interface Subject extends Pick<OptimizationPlan, 'model' | 'version'> {
  readonly data: Pick<OptimizationPlan['data'], 'dataset' | 'version' | 'tokenizer' | 'context'>;
  readonly bound: Pick<OptimizationPlan['bound'], 'field'>;
}

/** Looks up what a plan names; throws an RpcError or the store's NotFoundError. */
export async function checkOptimization(
  store: Pick<Store, 'registry' | 'datasets' | 'artifacts'>,
  plan: Subject,
): Promise<CheckedOptimization> {
  const { model, version, data } = plan;
  const parent = await store.registry.version(model, version);
  if (parent.state === contract.VersionState.VERSION_STATE_REJECTED) {
    throw errors.versionRejected(model, parent.version, parent.rejectionReason);
  }
  const dataset = await store.datasets.version(data.dataset, data.version);
  using files = openModelFiles(await store.artifacts.path(parent.artifactSha256));
  const graph = readOnnx(files.file, files.beside);
  const fit = fitOf(plan, parent, dataset, graph);
  if (isQuantized(graph)) throw errors.alreadyQuantized(model, parent.version);
  return fit;
}

/** How a version, its graph and a dataset fit each other; throws an RpcError where they do not. */
export function fitOf(
  { model, data, bound }: Omit<Subject, 'version'>,
  parent: registry.Version,
  dataset: datasets.DatasetVersion,
  graph: Model,
): CheckedOptimization {
  const task = taskOf(dataset, data, `version ${parent.version} of model '${model}'`, graph);
  if (task.kind !== 'classes' && bound.field === 'max_accuracy_drop')
    throw errors.dropOfAccuracy(gateMetric(task.kind));
  checkSplits(dataset, task);
  return { parent, dataset, task, binding: bindingFor(model, parent.signature, task) };
}

/** Of a text, a part is empty that has no window with a token behind it. */
function checkSplits({ dataset, rows, splits = defaultSplits }: datasets.DatasetVersion, task: Task): void {
  const least = task.kind === 'text' ? task.context + 1 : 1;
  const isEmpty = (share: number) => Math.round(Number(rows) * share) < least;
  if (isEmpty(splits.test) && isEmpty(splits.validation)) {
    throw errors.emptySplit(dataset, 'test', least, 'evaluation');
  }
  if (isEmpty(splits.train)) throw errors.emptySplit(dataset, 'training', least, 'every pass');
}
