import { registry as contract } from '@modelmill/contracts';
import type { datasets, registry } from '@modelmill/contracts';
import { readOnnx } from '@modelmill/onnx';
import type { Store } from '@modelmill/store';
import { classifierFor } from './classifier.js';
import type { Classifier, ExampleForm } from './classifier.js';
import * as errors from './errors.js';
import { defaultSplits } from './examples.js';
import type { OptimizationPlan } from './optimization-plan.js';
import { isQuantized } from './weighted-layers.js';

/** A plan whose version and dataset exist and fit each other. */
export interface CheckedOptimization {
  readonly parent: registry.Version;
  readonly dataset: datasets.DatasetVersion;
  readonly examples: ExampleForm;
  /** How the parent takes them. */
  readonly classifier: Classifier;
}

/** Looks up what a plan names; throws an RpcError or the store's NotFoundError. */
export async function checkOptimization(
  store: Pick<Store, 'registry' | 'datasets' | 'artifacts'>,
  { model, version, data }: OptimizationPlan,
): Promise<CheckedOptimization> {
  const parent = await store.registry.version(model, version);
  if (parent.state === contract.VersionState.VERSION_STATE_REJECTED) {
    throw errors.versionRejected(model, parent.version, parent.rejectionReason);
  }
  const dataset = await store.datasets.version(data.dataset, data.version);
  const { featureShape = [], classes = [] } = dataset.schema ?? {};
  if (classes.length === 0) throw errors.notAClassifier(data.dataset);
  const { train, test } = dataset.splits ?? defaultSplits;
  const isEmpty = (share: number) => Math.round(Number(dataset.rows) * share) < 1;
  if (isEmpty(test)) throw errors.emptySplit(data.dataset, 'test', 'evaluation');
  if (isEmpty(train)) throw errors.emptySplit(data.dataset, 'training', 'every pass');
  const examples = { dataset: data.dataset, featureShape: featureShape.map(Number), classes: classes.length };
  const classifier = classifierFor(model, parent.signature, examples);
  if (isQuantized(readOnnx(await store.artifacts.read(parent.artifactSha256)))) {
    throw errors.alreadyQuantized(model, parent.version);
  }
  return { parent, dataset, examples, classifier };
}
