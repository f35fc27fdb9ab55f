import { calibrationRows } from '@modelmill/data';
import { jobs, optimizer as contract, trainer, datasets, registry } from '@modelmill/contracts';
import { expandFunctions } from '@modelmill/onnx';
import { openFileArtifacts } from '@modelmill/store';
import { measureForms } from '../analysis/measure-forms.js';
import { analyze } from '../analyze.js';
import { makeCandidate } from '../candidate.js';
import type { CandidateDeps } from '../candidate.js';
import { fitOf } from '../check-optimization.js';
import { readExamples } from '../examples.js';
import type { Examples } from '../examples.js';
import { expectFiniteWeights } from '../finite-weights.js';
import { never } from '../make-passes.js';
import { openModel } from '../model-files.js';
import { planOptimization } from '../optimization-plan.js';
import { planPasses } from '../passes.js';
import { pinned } from '../pinned-plan.js';
import type { InTurn } from '../turns.js';
import type { Answers, CallEnd } from './calls.js';
import type { PassNeeds, PassWork } from './pass-calls.js';

/** A version with the tokenizer and the windows that it has itself. */
const asItComes = ({ model }: registry.Version) =>
  ({
    model,
    data: { dataset: '', version: '', tokenizer: undefined, context: 0 },
    bound: { field: 'max_drop' },
  }) as const;

type Ask = CallEnd<PassNeeds>['call'];

/** What a pass process does; `ask` reaches the optimizer. */
export function passWork(ask: Ask): Answers<PassWork> {
  let examples: Examples | undefined; // a process works for one job, which has one dataset

  const inTurn: InTurn = async (work) => {
    await ask('turn', null);
    try {
      return await work();
    } finally {
      await ask('turnOver', null);
    }
  };

  const needs: Omit<CandidateDeps, 'artifacts'> = {
    inTurn,
    tell: (stage, done) => ask('progress', { stage, done }),
    async train({ spec, ...training }) {
      const asked = { ...training, spec: trainer.TrainingSpec.encode(spec).finish() };
      return jobs.JobSucceeded.decode(await ask('train', asked));
    },
  };

  return {
    async make(order) {
      const { mostFileBytes } = order;
      const artifacts = { ...(await openFileArtifacts(order.artifactsDir)), mostFileBytes };
      const plan = planOptimization(contract.OptimizationSpec.decode(order.spec));
      const parent = registry.Version.decode(order.parent);
      const dataset = datasets.DatasetVersion.decode(order.dataset);
      const graph = await openModel(artifacts, parent.artifactSha256);
      const about = pinned(plan, fitOf(plan, parent, dataset, graph));
      const passes = planPasses(order.passes.map((message) => contract.Pass.decode(message)));
      examples ??= await readExamples(artifacts, dataset, about.task);
      const { signature, ...made } = await makeCandidate({ artifacts, ...needs }, { pinned: about, examples, passes });
      return { ...made, signature: registry.Signature.encode(signature).finish() };
    },
    async analyze({ artifactsDir, sha256 }) {
      const model = await openModel(await openFileArtifacts(artifactsDir), sha256);
      return contract.AnalyzeModelResponse.encode(analyze(model)).finish();
    },
    async measure({ artifactsDir, ...order }) {
      const artifacts = await openFileArtifacts(artifactsDir);
      const parent = registry.Version.decode(order.parent);
      const dataset = datasets.DatasetVersion.decode(order.dataset);
      const graph = await openModel(artifacts, parent.artifactSha256);
      const { task, binding } = fitOf(asItComes(parent), parent, dataset, graph);
      expectFiniteWeights(expandFunctions(graph));
      examples ??= await readExamples(artifacts, dataset, task);
      const some = calibrationRows(examples.train, order.rows, 0n);
      return measureForms(graph, { ...order, binding, examples, some, signal: never });
    },
  };
}
