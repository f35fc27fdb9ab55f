import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { trainer as contract } from '@modelmill/contracts';
import type { datasets } from '@modelmill/contracts';
import { DatasetError, datasetFormat } from '@modelmill/data';
import { readOnnx } from '@modelmill/onnx';
import { RpcError } from '@modelmill/service-kit';
import { JobFailedError, NotFoundError } from '@modelmill/store';
import type { JobClaim, JobResult, Store } from '@modelmill/store';
import { checkTraining, defaultSplits, registrySignature } from './check-training.js';
import type { CheckedTraining } from './check-training.js';
import { createCheckpoints } from './checkpoints.js';
import type { Checkpoints } from './checkpoints.js';
import type { ProviderCheck } from './provider-check.js';
import { reportProgress } from './report-progress.js';
import { TrainingProcessError, trainInChild } from './train-in-child.js';
import type { FromTraining, TrainingOrder } from './training-messages.js';
import { planTraining } from './training-plan.js';
import type { TrainingPlan } from './training-plan.js';

export interface TrainDeps {
  readonly store: Pick<Store, 'registry' | 'datasets' | 'jobs' | 'artifacts'>;
  readonly providers: ProviderCheck;
  /** What device libraries are found by, in the process that trains. */
  readonly environment: Readonly<Record<string, string>>;
  readonly threads: number;
  readonly checkpointMs: number;
}

type Done = Extract<FromTraining, { kind: 'done' }>;

/** Trains what a job asks for, from its checkpoint where it has one, and registers the version: once. */
export async function trainJob(deps: TrainDeps, claim: JobClaim): Promise<JobResult> {
  const checkpoints = createCheckpoints(deps.store.artifacts, claim);
  try {
    const result = await train(deps, claim, checkpoints);
    await checkpoints.drop();
    return result;
  } catch (error) {
    const final = [JobFailedError, RpcError, NotFoundError, DatasetError].some((kind) => error instanceof kind);
    if (final || claim.signal.reason === 'cancelled') await checkpoints.drop();
    if (!final || error instanceof JobFailedError) throw error;
    throw new JobFailedError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

async function train(
  { store, providers, environment, threads, checkpointMs }: TrainDeps,
  claim: JobClaim,
  checkpoints: Checkpoints,
): Promise<JobResult> {
  const { artifacts } = store;
  const { job, signal } = claim;
  const spec = contract.TrainingSpec.decode(job.spec);
  const plan = planTraining(spec);
  await claim.update({ stage: 'preparing' });
  await providers.check(plan.provider); // the replica that took the order may have another device
  const start = await checkpoints.last();
  const checked = await checkTraining(store, plan, start?.inputs);
  const folder = await mkdtemp(join(tmpdir(), 'mill-train-'));
  try {
    const order: TrainingOrder = {
      plan: { ...plan, batchSize: checked.batchSize },
      inputs: checked.inputs,
      loss: checked.loss,
      dataset: await datasetOf(store, checked.dataset),
      basePath: checked.inputs.baseSha256 && (await artifacts.path(checked.inputs.baseSha256)),
      teacherPath: checked.inputs.teacherSha256 && (await artifacts.path(checked.inputs.teacherSha256)),
      checkpointPath: start?.path,
      folder,
      threads,
      checkpointMs,
      // tensors stay on a device of WebGPU from run to run, on CUDA they do not
      scanned: plan.provider === 'cuda',
    };
    let done: Done | undefined;
    const report = reportProgress(claim);
    await trainInChild(order, { signal, environment }, async (message) => {
      switch (message.kind) {
        case 'progress':
          return report.tell(message.progress);
        case 'checkpoint':
          await checkpoints.keep(message.path);
          return rm(message.path);
        case 'done':
          done = message;
          return;
        case 'failed':
          throw new JobFailedError(message.reason);
        case 'stumbled':
          throw new TrainingProcessError(message.reason);
      }
    });
    await report.flush();
    if (!done) throw new TrainingProcessError('the training process ended without a result');
    return await keep(store, claim, { plan, spec, checked, done });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Trained {
  readonly plan: TrainingPlan;
  readonly spec: contract.TrainingSpec;
  readonly checked: CheckedTraining;
  readonly done: Done;
}

/** Stores the model, and registers it unless only the artifact was asked for. */
async function keep(
  { artifacts, registry }: TrainDeps['store'],
  claim: JobClaim,
  { plan, spec, checked, done }: Trained,
): Promise<JobResult> {
  await claim.update({ stage: 'registering', done: 1 });
  const bytes = await readFile(done.path);
  const artifact = await artifacts.put(bytes);
  const { sha256: historySha256 } = await artifacts.put(await readFile(done.historyPath));
  const { notes } = done;
  if (spec.artifactOnly) {
    return { version: '', artifactSha256: artifact.sha256, metrics: done.metrics, historySha256, notes };
  }
  await claim.assertOwned();
  const { dataset, inputs } = checked;
  const { version, metrics, artifactSha256 } = await registry.registerVersion({
    model: plan.model,
    artifact,
    signature: registrySignature(readOnnx(bytes)),
    lineage: {
      method:
        plan.start.kind === 'layers' || plan.start.kind === 'preset'
          ? plan.distillation
            ? 'distilled'
            : 'trained'
          : 'fine-tuned',
      parentVersion: inputs.baseVersion ?? '',
      jobId: claim.job.id,
      dataset: dataset.dataset,
      datasetVersion: dataset.version,
    },
    metrics: { ...done.metrics, size_bytes: artifact.size },
    jobId: claim.job.id,
    ...(spec.label === '' ? {} : { label: spec.label }),
  });
  return { version, artifactSha256, metrics, historySha256, notes };
}

async function datasetOf(
  { artifacts }: Pick<Store, 'artifacts'>,
  { artifactSha256, format, splits = defaultSplits }: datasets.DatasetVersion,
): Promise<TrainingOrder['dataset']> {
  return {
    path: await artifacts.path(artifactSha256),
    format: datasetFormat(format!), // none is stored without
    splits: { ...splits, seed: splits.seed.toString() },
  };
}
