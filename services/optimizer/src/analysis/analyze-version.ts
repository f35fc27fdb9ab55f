import { optimizer as contract, trainer } from '@modelmill/contracts';
import type { optimizer, recipes, registry } from '@modelmill/contracts';
import { NotFoundError } from '@modelmill/store';
import type { Store } from '@modelmill/store';
import { checkOptimization } from '../check-optimization.js';
import { range } from '../field-checks.js';
import type { Analyses } from '../process/analyze-in-process.js';
import { advise } from './advise.js';
import { layerForms, modelForms } from './forms.js';
import type { FormFigures, Measured, ModelFormFigures } from './measure-forms.js';

type AnalysisStore = Pick<Store, 'registry' | 'datasets' | 'artifacts' | 'jobs'>;

/** Weighs a version's layers; with a dataset, measures them too. Throws an RpcError or the store's NotFoundError. */
export async function analyzeVersion(
  { store, analyses }: { readonly store: AnalysisStore; readonly analyses: Analyses },
  request: optimizer.AnalyzeModelRequest,
  signal: AbortSignal,
): Promise<optimizer.AnalyzeModelResponse> {
  const { model, version, dataset: name, datasetVersion } = request;
  if (name === '') {
    const { artifactSha256 } = await store.registry.version(model, version);
    return analyses.weigh(artifactSha256, signal);
  }
  const rows = range(request.rows || 256, 1, 100_000, 'rows');
  const budgetMs = 1000 * range(request.timeBudgetSeconds || 15, 1, 3600, 'time_budget_seconds');
  const data = { dataset: name, version: datasetVersion, tokenizer: undefined, context: 0 };
  const { parent, dataset } = await checkOptimization(store, { model, version, data, bound: { field: 'max_drop' } });
  const measured = await analyses.measure({ parent, dataset, rows, budgetMs, modelForms, layerForms }, signal);
  const weighed = await analyses.weigh(parent.artifactSha256, signal);
  return withFigures(weighed, measured, {
    sizeBytes: Number(parent.sizeBytes),
    parameters: new Map(weighed.layers.map(({ node, parameters }) => [node, Number(parameters)])),
    optimizer: await trainedWith(store, parent),
  });
}

function withFigures(
  weighed: optimizer.AnalyzeModelResponse,
  measured: Measured,
  about: Parameters<typeof advise>[1],
): optimizer.AnalyzeModelResponse {
  const { floats, int8KernelsMs } = measured;
  const byName = new Map(measured.layers.map((layer) => [layer.name, layer]));
  const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);
  return contract.AnalyzeModelResponse.fromPartial({
    layers: weighed.layers.map((layer) => {
      const { forms = [], floatMs = 0, int8Ms = 0 } = byName.get(layer.node) ?? {};
      return {
        ...layer,
        forms: forms.map(asMessage),
        floatMs,
        floatShare: share(floatMs, floats.kernelsMs),
        int8Ms,
        int8Share: share(int8Ms, int8KernelsMs),
      };
    }),
    advice: advise(measured, about),
    forms: measured.forms.map(asMessage),
    basis: {
      rows: BigInt(measured.rows),
      metric: measured.metric,
      value: floats.value,
      loss: floats.loss,
      p50Ms: floats.p50Ms,
      kernelsMs: floats.kernelsMs,
      cpu: measured.cpu,
      unmeasured: BigInt(measured.unmeasured),
    },
  });
}

const asMessage = ({ sizeBytes = 0, ...figures }: FormFigures & Partial<ModelFormFigures>) =>
  contract.FormAnalysis.fromPartial({ ...figures, sizeBytes: BigInt(sizeBytes) });

/** What a version's training used; undefined where it was not trained here, or its job is gone. */
async function trainedWith(
  { jobs }: AnalysisStore,
  { lineage }: registry.Version,
): Promise<recipes.TrainingOptimizer | undefined> {
  if (!lineage?.jobId) return undefined;
  try {
    const { kind, spec } = await jobs.get(lineage.jobId);
    if (kind !== 'train') return undefined;
    const { optimizer: used } = trainer.TrainingSpec.decode(spec);
    return used?.kind ? used : { ...trainer.TrainingSpec.fromPartial({ optimizer: {} }).optimizer!, kind: adam };
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

const adam: recipes.TrainingOptimizer['kind'] = trainer.TrainingSpec.fromPartial({
  optimizer: { kind: { $case: 'adam', adam: {} } },
}).optimizer!.kind;
